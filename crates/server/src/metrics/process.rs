//! What the process uses, under the names that all of Prometheus's own clients give it. It is read at the scrape from
//! Linux's /proc; where that is not to be had, these metrics are absent.

use std::fmt;
use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeGaugeValue, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;
use rustix::process::{Resource, getrlimit};

/// Linux tells CPU time in hundredths of a second on every machine that it runs on (USER_HZ, see proc_pid_stat(5)).
const TICKS_A_SECOND: f64 = 100.0;

/// Reads what this process uses.
#[derive(Debug)]
pub(super) struct Process {
    /// Seconds since 1970. It is kept, because a time that is computed anew each time would vary by milliseconds.
    started: f64,
}

impl Process {
    /// The process that began now.
    pub(super) fn new() -> Self {
        Self { started: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64() }
    }
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        gauge(
            &mut encoder,
            ("process_start_time", Some(&Unit::Seconds)),
            "When the service began, in seconds since 1970",
            self.started,
        )?;
        if let Some(seconds) = cpu_seconds() {
            let counter = ConstCounter::new(seconds);
            let help = "CPU time that the process has used";
            let metric = encoder.encode_descriptor(
                "process_cpu",
                help,
                Some(&Unit::Seconds),
                counter.metric_type(),
            )?;
            counter.encode(metric)?;
        }
        if let Some(bytes) = resident_bytes() {
            gauge(&mut encoder, ("process_resident_memory", Some(&Unit::Bytes)), "Memory in RAM", bytes)?;
        }
        if let Some(files) = open_files() {
            gauge(&mut encoder, ("process_open_fds", None), "Open files, sockets among them", files)?;
        }
        if let Some(files) = getrlimit(Resource::Nofile).current {
            let files = i64::try_from(files).unwrap_or(i64::MAX);
            gauge(&mut encoder, ("process_max_fds", None), "The most files that may be open", files)?;
        }
        Ok(())
    }
}

fn gauge<N: EncodeGaugeValue>(
    encoder: &mut DescriptorEncoder<'_>,
    (name, unit): (&str, Option<&Unit>),
    help: &str,
    value: N,
) -> Result<(), fmt::Error> {
    let gauge = ConstGauge::new(value);
    gauge.encode(encoder.encode_descriptor(name, help, unit, gauge.metric_type())?)
}

/// User and system time of all threads.
fn cpu_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is the program's name in brackets and may hold spaces.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut ticks = fields.split_ascii_whitespace().skip(11).map(str::parse::<f64>);
    Some((ticks.next()?.ok()? + ticks.next()?.ok()?) / TICKS_A_SECOND)
}

fn resident_bytes() -> Option<i64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse::<i64>().ok().map(|kib| kib * 1024)
}

/// Linux 6.2 and later tells the number as the folder's size. To count the entries of older ones costs some milliseconds
/// where thousands of pages are connected.
fn open_files() -> Option<i64> {
    const FILES: &str = "/proc/self/fd";
    let told = fs::metadata(FILES).ok()?.len();
    let files = if told > 0 { told } else { fs::read_dir(FILES).ok()?.count() as u64 };
    i64::try_from(files).ok()
}
