//! What the run ran on.

/// Processors, kernel, PostgreSQL.
pub(crate) fn describe() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown");
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = read("/proc/sys/kernel/osrelease");
    let build = if cfg!(debug_assertions) { "debug" } else { "release" };
    format!("{cores} cores ({}), Linux {}, {build} build", model.trim_start_matches([':', '\t', ' ']), kernel.trim())
}

/// Processes that want to run, averaged over a minute.
pub(crate) fn load() -> f64 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or(0.0)
}

/// Processor time of the whole machine up to a moment.
pub(crate) struct Cpu {
    all: u64,
    idle: u64,
}

impl Cpu {
    pub(crate) fn now() -> Self {
        let text = std::fs::read_to_string("/proc/stat").unwrap_or_default();
        let line = text.lines().next().unwrap_or_default();
        let ticks: Vec<u64> = line.split_whitespace().skip(1).take(8).filter_map(|word| word.parse().ok()).collect();
        let idle = ticks.get(3).unwrap_or(&0) + ticks.get(4).unwrap_or(&0);
        Self { all: ticks.iter().sum(), idle }
    }

    /// The share of the machine that was busy since, 0 to 1.
    pub(crate) fn busy_since(&self) -> f64 {
        let now = Self::now();
        let (all, idle) = (now.all.saturating_sub(self.all), now.idle.saturating_sub(self.idle));
        if all == 0 { 0.0 } else { 1.0 - idle as f64 / all as f64 }
    }
}
