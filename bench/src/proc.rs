//! What the kernel says about a process: `/proc/PID/{status,stat,io}`.

use anyhow::{Context, Result};

const BYTES_PER_MB: f64 = 1_000_000.0;

/// A running process, by its number.
#[derive(Clone, Copy, Debug)]
pub struct Process(pub u32);

impl Process {
    /// Resident memory now, MB.
    pub fn resident_mb(&self) -> Result<f64> {
        Ok(kib(&self.read("status")?, "VmRSS:")? * 1_024.0 / BYTES_PER_MB)
    }

    /// The most resident memory it ever had, MB.
    pub fn peak_resident_mb(&self) -> Result<f64> {
        Ok(kib(&self.read("status")?, "VmHWM:")? * 1_024.0 / BYTES_PER_MB)
    }

    /// Processor time used so far, in user and kernel, seconds.
    pub fn cpu_seconds(&self) -> Result<f64> {
        Ok(ticks(&self.read("stat")?)? as f64 / rustix::param::clock_ticks_per_second() as f64)
    }

    /// Bytes it made the disk write so far; stays 0 on a memory file system.
    pub fn written_bytes(&self) -> Result<u64> {
        field(&self.read("io")?, "write_bytes:")
    }

    fn read(&self, file: &str) -> Result<String> {
        let path = format!("/proc/{}/{file}", self.0);
        std::fs::read_to_string(&path).with_context(|| format!("reading {path}"))
    }
}

fn field(text: &str, name: &str) -> Result<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let value = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    value.with_context(|| format!("no {name} in\n{text}"))
}

fn kib(status: &str, name: &str) -> Result<f64> {
    Ok(field(status, name)? as f64)
}

/// Fields 14 and 15; the command name before them may contain blanks and brackets.
fn ticks(stat: &str) -> Result<u64> {
    let after_name = stat.rsplit_once(')').context("no command name")?.1;
    let mut fields = after_name.split_whitespace().skip(11).map(str::parse::<u64>);
    let user = fields.next().context("no user time")??;
    let kernel = fields.next().context("no kernel time")??;
    Ok(user + kernel)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_name_with_brackets_does_not_shift_the_fields() {
        let stat = "42 (a) b (c)) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20 0";
        assert_eq!(ticks(stat).expect("ticks"), 300);
    }

    #[test]
    fn this_process_has_memory_and_a_peak_not_below_it() {
        let this = Process(std::process::id());
        let now = this.resident_mb().expect("memory");
        assert!(now > 0.5 && this.peak_resident_mb().expect("a peak") >= now);
        assert!(this.cpu_seconds().is_ok() && this.written_bytes().is_ok());
    }
}
