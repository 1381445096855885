//! A real Prometheus on loopback, with the folder of `deploy/`.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::rules::folder;

/// A running Prometheus. Dropping it ends it.
pub(crate) struct Prometheus {
    process: Child,
    address: SocketAddr,
    _folder: TempDir,
}

impl Prometheus {
    /// Starts it with what `change` makes of the configuration and the rules. Nothing is scraped unless it says so.
    pub(crate) fn start(change: impl FnOnce(String, String) -> (String, String)) -> Self {
        let copy = tempfile::tempdir().unwrap();
        let read = |name: &str| std::fs::read_to_string(folder().join(name)).unwrap();
        let config = read("prometheus.yml");
        let (global, _) = config.split_once("scrape_configs:").unwrap();
        let (config, rules) = change(global.to_owned(), read("alerts.yml"));
        std::fs::write(copy.path().join("prometheus.yml"), config).unwrap();
        std::fs::write(copy.path().join("alerts.yml"), rules).unwrap();
        let mut command = Command::new("prometheus");
        command.current_dir(copy.path()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command.args([
            "--config.file=prometheus.yml",
            "--storage.tsdb.path=data",
            "--web.listen-address=127.0.0.1:0",
        ]);
        let mut process = command.spawn().expect("prometheus is a package of Debian's");
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let mut address = None;
        let mut log = Vec::new();
        // It listens before it is ready, and says so at last.
        for line in lines.by_ref().map_while(Result::ok) {
            if let Some((_, at)) = line.split_once("msg=\"Listening on\" address=") {
                address = at.parse().ok();
            }
            let is_ready = line.contains("Server is ready to receive web requests");
            log.push(line);
            if is_ready {
                break;
            }
        }
        let address = address.unwrap_or_else(|| panic!("prometheus does not listen: {log:#?}"));
        std::thread::spawn(move || lines.for_each(drop));
        Self { process, address, _folder: copy }
    }

    /// What its API answers at this path.
    pub(crate) async fn get(&self, path: &str, query: &[(&str, &str)]) -> Value {
        let url = format!("http://{}/api/v1/{path}", self.address);
        let answer = reqwest::Client::new().get(url).query(query).send().await.unwrap();
        let answer: Value = answer.json().await.unwrap();
        assert_eq!(answer["status"], "success", "{path} {query:?}: {answer}");
        answer["data"].clone()
    }

    /// The names of the alerts that fire.
    pub(crate) async fn firing(&self) -> Vec<String> {
        let answer = self.get("alerts", &[]).await;
        let alerts = answer["alerts"].as_array().unwrap().iter();
        let firing = alerts.filter(|alert| alert["state"] == "firing");
        firing.map(|alert| alert["labels"]["alertname"].as_str().unwrap().to_owned()).collect()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
