//! The compose files of deploy/, as compose itself reads them, in every combination: nothing of the demo's stays beside a
//! real account, every setting of `--help` arrives, and no container fills the disk or the memory. No engine is needed.

#![allow(clippy::unwrap_used, reason = "tests fail loudly")]

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::process::{Command, Output};

use e2e::programs::{self, text};
use tempfile::TempDir;

/// What may stand together.
const COMBINATIONS: [&[&str]; 7] = [
    &["compose.yaml"],
    &["compose.yaml", "compose.redis.yaml"],
    &["compose.yaml", "compose.account.yaml"],
    &["compose.yaml", "compose.redis.yaml", "compose.account.yaml"],
    &["compose.yaml", "compose.account.yaml", "compose.redis.yaml"],
    &["compose.gateway.yaml"],
    &["compose.callback.yaml"],
];

/// What an operator cannot do without.
const NEEDED: &str = "WECHAT_APP_ID=wxfedcba9876543210\nCALLBACK_GATEWAY=gateway.internal:9999\n";

/// A host's folder: deploy/ and its .env.
fn host(env: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy");
    for entry in std::fs::read_dir(deploy).unwrap() {
        let (from, name) = entry.map(|entry| (entry.path(), entry.file_name())).unwrap();
        if name.to_string_lossy().starts_with("compose.") {
            std::fs::copy(from, folder.path().join(name)).unwrap();
        }
    }
    std::fs::write(folder.path().join(".env"), env).unwrap();
    folder
}

fn compose(folder: &Path, files: &[&str]) -> Output {
    let run = |program: &str, first: &[&str]| {
        let files = files.iter().flat_map(|file| ["-f", file]);
        let mut command = Command::new(program);
        command.args(first).args(files).arg("config").current_dir(folder).env_clear();
        command.envs(["PATH", "HOME"].into_iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        command.output()
    };
    let output = run("docker-compose", &[]).or_else(|_| run("docker", &["compose"]));
    output.expect("compose is needed: docker-compose, or docker with it")
}

/// What compose makes of the files.
fn rendered(folder: &Path, files: &[&str]) -> String {
    let output = compose(folder, files);
    assert!(output.status.success(), "{files:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

/// Each service's lines, with their indentation below it.
fn services(rendered: &str) -> BTreeMap<&str, Vec<&str>> {
    let mut services = BTreeMap::<_, Vec<_>>::new();
    let mut name = None;
    let lines = rendered.lines().skip_while(|line| *line != "services:").skip(1);
    for line in lines.take_while(|line| line.starts_with(' ')) {
        match line.strip_prefix("  ").filter(|line| !line.starts_with(' ')) {
            Some(begins) => name = Some(begins.trim_end_matches(':')),
            None => services.entry(name.unwrap()).or_default().push(&line[4..]),
        }
    }
    services
}

/// A service's environment.
fn environment<'a>(service: &[&'a str]) -> HashMap<&'a str, &'a str> {
    let lines = service.iter().skip_while(|line| **line != "environment:").skip(1);
    let lines =
        lines.take_while(|line| line.starts_with("  ")).filter_map(|line| line.trim().split_once(':'));
    lines.map(|(name, value)| (name, value.trim().trim_matches(['\'', '"']))).collect()
}

/// The printed secrets of the demo.
fn printed() -> Vec<String> {
    let demo = include_str!("../../../deploy/compose.yaml");
    let secrets = ["NOTIFY_KEY", "WECHAT_APP_SECRET", "WECHAT_TOKEN", "WECHAT_AES_KEY"];
    let of = |name: &str| demo.lines().find_map(|line| line.trim().strip_prefix(&format!("{name}: ")));
    secrets.iter().map(|name| of(name).unwrap().to_owned()).collect()
}

#[test]
fn beside_a_real_account_nothing_of_the_demo_is_left() {
    let host = host(NEEDED);
    for files in COMBINATIONS {
        let rendered = rendered(host.path(), files);
        if files == ["compose.yaml"] || files == ["compose.yaml", "compose.redis.yaml"] {
            continue;
        }
        for secret in printed().iter().map(String::as_str).chain(["http://simulator", "wx0123456789abcdef"]) {
            assert!(!rendered.contains(secret), "{files:?} have {secret}");
        }
        for (name, service) in services(&rendered) {
            if name.starts_with("ws-gateway") || name.starts_with("callback-service") {
                let key = environment(&service)["NOTIFY_KEY_FILE"];
                assert_eq!(key, "/run/secrets/notify-key", "{files:?}: {name}");
            }
        }
    }
}

#[test]
fn two_of_each_differ_in_nothing_but_ports_and_volumes() {
    let host = host(NEEDED);
    for files in COMBINATIONS.into_iter().filter(|files| files.contains(&"compose.redis.yaml")) {
        let rendered = rendered(host.path(), files);
        let services = services(&rendered);
        for name in ["ws-gateway", "callback-service"] {
            let (one, other) = (&services[name], &services[&*format!("{name}-2")]);
            assert_eq!(environment(one), environment(other), "{files:?}: {name}");
            assert!(one.iter().any(|line| line.contains("-store=redis://redis:6379")), "{files:?}: {name}");
            assert!(other.contains(&"scale: 1"), "{files:?}: {name}-2 is not started");
        }
    }
}

#[test]
fn no_container_fills_the_disk_or_the_memory() {
    let host = host(NEEDED);
    for files in COMBINATIONS {
        for (name, service) in services(&rendered(host.path(), files)) {
            let has = |start: &str| service.iter().any(|line| line.trim().starts_with(start));
            assert!(has("max-size:") && has("max-file:"), "{files:?}: {name}: the log has no end");
            assert!(has("mem_limit:"), "{files:?}: {name}: it may take all memory");
        }
    }
}

/// Which settings a file gives itself, and so takes from nobody.
fn own(files: &[&str], setting: &str) -> bool {
    let alone = files.len() == 1;
    match setting {
        // The ports that the files publish, or that only containers of one network reach.
        "GATEWAY_LISTEN" | "CALLBACK_LISTEN" | "GATEWAY_NOTIFY_LISTEN" => true,
        // Plain text in one network; TLS with the certificates of certificates.sh between hosts.
        "GATEWAY_NOTIFY_ALLOW_PLAINTEXT" => true,
        name if name.starts_with("GATEWAY_NOTIFY_TLS_") => true,
        "CALLBACK_GATEWAY_NAME" => !alone,
        name if name.starts_with("CALLBACK_GATEWAY_") => true,
        "CALLBACK_GATEWAY" => !alone,
        _ => false,
    }
}

/// An empty text is not sent, so one that nobody has set must not arrive as an empty one.
#[test]
fn a_text_is_empty_only_where_somebody_has_set_it_so() {
    let host = host(&format!("{NEEDED}CALLBACK_TEXT_GREETING=\n"));
    for files in [&["compose.yaml", "compose.account.yaml"][..], &["compose.callback.yaml"]] {
        let rendered = rendered(host.path(), files);
        let services = services(&rendered);
        let environment = environment(&services["callback-service"]);
        assert_eq!(environment["CALLBACK_TEXT_GREETING"], "", "{files:?}");
        let unset = environment.get("CALLBACK_TEXT_FIRST").copied();
        assert!(unset.is_none_or(|value| value == "null"), "{files:?}: {unset:?}");
    }
}

#[test]
fn every_setting_in_the_file_env_reaches_its_container() {
    let names_of = |program: &str| {
        let help = text(&programs::output(program, &HashMap::new(), &["--help"]).stdout);
        let names =
            help.split("[env: ").skip(1).map(|rest| rest.split(['=', ']']).next().unwrap().to_owned());
        let more = [
            "RUST_LOG",
            "TZ",
            "HTTPS_PROXY",
            "NO_PROXY",
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "OTEL_EXPORTER_OTLP_HEADERS",
            "OTEL_RESOURCE_ATTRIBUTES",
            "OTEL_TRACES_SAMPLER",
            "OTEL_TRACES_SAMPLER_ARG",
        ];
        let more = more.map(str::to_owned);
        names.chain(more).collect::<Vec<_>>()
    };
    let programs =
        [("ws-gateway", "GATEWAY_REDIS_PASSWORD"), ("callback-service", "CALLBACK_REDIS_PASSWORD")];
    let all: Vec<_> = programs
        .map(|(program, password)| (program, [names_of(program), vec![password.to_owned()]].concat()))
        .into();
    let value = |name: &str| format!("of.{}", name.to_lowercase());
    let env: String =
        all.iter().flat_map(|(_, names)| names).map(|name| format!("{name}={}\n", value(name))).collect();
    let host = host(&env);
    for files in COMBINATIONS {
        if files[0] == "compose.yaml" && !files.contains(&"compose.account.yaml") {
            continue;
        }
        let rendered = rendered(host.path(), files);
        let services = services(&rendered);
        for (program, names) in &all {
            let Some(service) = services.get(program) else { continue };
            let environment = environment(service);
            for name in names.iter().filter(|name| !own(files, name)) {
                let redis = files.contains(&"compose.redis.yaml") && name.ends_with("_TRUSTED_PROXIES");
                let given = environment.get(&**name).copied().unwrap_or_default();
                assert!(redis || given.contains(&value(name)), "{files:?}: {program} has {name}={given:?}");
            }
        }
    }
}
