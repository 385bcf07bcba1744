//! What this process uses of the machine, as the system tells (proc_pid_stat(5), proc_pid_status(5)).

/// Ticks of a second in which the system counts computing time for programs.
const TICKS: f64 = 100.0;
/// Place of the time in user mode, counted after the name in brackets …
const USER: usize = 11;
/// … and of the time in system mode.
const SYSTEM: usize = 12;

/// Memory and time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Usage {
    /// Memory that it takes, in bytes.
    pub(crate) resident_bytes: u64,
    /// Time that it has computed, in seconds.
    pub(crate) cpu_seconds: f64,
}

/// Of this process; None where the system does not tell.
pub(crate) fn of_this_process() -> Option<Usage> {
    read(&std::fs::read_to_string("/proc/self/status").ok()?, &std::fs::read_to_string("/proc/self/stat").ok()?)
}

fn read(status: &str, stat: &str) -> Option<Usage> {
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = resident.trim().strip_suffix("kB")?.trim().parse().ok()?;
    // The name may have spaces and brackets of its own.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |place: usize| fields.get(place)?.parse::<f64>().ok();
    Some(Usage { resident_bytes: kib * 1_024, cpu_seconds: (ticks(USER)? + ticks(SYSTEM)?) / TICKS })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_is_read_whatever_the_process_is_called() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 1 0 0 0 150 50 0 0 20 0 9 0 100";
        let usage = read("Name:\ta\nVmRSS:\t   2048 kB\nThreads: 9\n", stat).unwrap();
        assert_eq!(usage, Usage { resident_bytes: 2 << 20, cpu_seconds: 2.0 });
        assert_eq!(read("Name: a", stat), None);
        assert!(of_this_process().is_none_or(|u| u.resident_bytes > 0));
    }
}
