//! What a person who copies a client into a program needs: it does nothing by itself, and it is short.

use std::fs;
use std::process::Command;

use test_clients::player::{Client, Port};
use test_clients::samples::{run, samples, source};
use test_clients::vectors::Outcome;

use super::{SAMPLES, answered, ordinary};

const PHP: &str = "[, $address, $notice, $file] = $argv;
require $file;
echo json_encode(notify($address, 'shop', getenv('NOTIFY_KEY'), json_decode($notice, true))), PHP_EOL;";

const PYTHON: &str = "import json, os, sys
address, notice, file = sys.argv[1:]
sys.path.insert(0, os.path.dirname(file))
from notify import notify
print(json.dumps(notify(address, 'shop', os.environ['NOTIFY_KEY'], json.loads(notice))))";

const NODE: &str = "const [address, notice, file] = process.argv.slice(1);
const { notify } = await import(file);
console.log(JSON.stringify(await notify(address, 'shop', process.env.NOTIFY_KEY, JSON.parse(notice))));";

const SHELL: &str = r#"set -euo pipefail
source "$3"
notify "$1" shop "$2""#;

/// All but Go's client, because a Go program is a package of its own.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_is_a_function_too() {
    let vector = ordinary();
    let Outcome::Answer { answer } = &vector.outcome else { unreachable!() };
    for (file, program, arguments) in [
        ("notify.php", "php", &["-r", PHP, "--"][..]),
        ("notify.py", "python3", &["-c", PYTHON]),
        ("notify.mjs", "node", &["--input-type=module", "-e", NODE, "--"]),
        ("notify.sh", "bash", &["-c", SHELL, "script"]),
    ] {
        let port = Port::open(None).await;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .args([port.address().to_string(), vector.notice.to_string()])
            .arg(source(file));
        command.env("NOTIFY_KEY", &vector.key).env("PYTHONDONTWRITEBYTECODE", "1");
        let asks = tokio::task::spawn_blocking(move || run(&mut command));
        let (ran, played) = tokio::join!(asks, port.play(&vector, Client::OneShot));
        assert_eq!(answered(&ran.unwrap(), answer).and(played), Ok(()), "{file}");
    }
}

#[test]
fn a_client_can_be_read_at_one_sitting() {
    let mut files = 0;
    for sample in samples() {
        // The shell has neither HMAC nor JSON of its own, and Go checks for an error after every step.
        let most = match sample.file {
            "notify.sh" => 85,
            "notify.go" => 55,
            _ => 50,
        };
        let text = fs::read_to_string(source(sample.file)).unwrap();
        let client = text.split("From here on: the command line.").next().unwrap();
        assert_ne!(client.len(), text.len(), "{} says where its command line begins", sample.file);
        let lines = lines_of_code(client);
        eprintln!("{}: {lines} lines of code", sample.file);
        assert!(lines <= most, "{} has {lines} lines of code, and not {most}", sample.file);
        files += 1;
    }
    assert_eq!(files, SAMPLES);
    assert_eq!(fs::read_dir(source("")).unwrap().count(), SAMPLES, "and there are no others");
}

/// Counts the lines that are not comments, imports or only brackets.
fn lines_of_code(text: &str) -> usize {
    let mut inside = false;
    let is_code = |line: &&str| {
        let fence = ["/*", "*/", "\"\"\""].iter().any(|fence| line.starts_with(fence));
        let was_inside = inside;
        // A comment that ends on its first line does not continue.
        if fence && !(line.len() > 3 && (line.ends_with("\"\"\"") || line.ends_with("*/"))) {
            inside = !inside;
        }
        let comment = fence || was_inside || line.starts_with("//") || line.starts_with('#');
        let import = line.starts_with("import ") || line.starts_with('"') && line.ends_with('"');
        !comment && !import && line.contains(char::is_alphanumeric)
    };
    text.lines().map(str::trim).filter(is_code).count()
}
