//! Metrics of CloudWatch as signs of health during soak, against what was usual on the source
//! (<https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-metrics.html>).

use serde::{Deserialize, Serialize};

/// Whether more or less of a metric is bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bad {
    /// Such as latency.
    High,
    /// Such as free memory.
    Low,
}

/// A metric that is watched.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Metric {
    /// AWS's own name, in the namespace `AWS/RDS`.
    pub name: &'static str,
    /// Its unit, in short.
    pub unit: &'static str,
    /// Which way is bad.
    pub bad: Bad,
    /// How many times the usual is too much (or, for `Low`, how many times less).
    pub factor: f64,
    /// What never alarms: up to here (or, for `Low`, from here on) it is well whatever was usual.
    pub well: f64,
}

const MIB: f64 = 1_048_576.0;

/// What is watched.
pub const METRICS: &[Metric] = &[
    Metric { name: "CPUUtilization", unit: "%", bad: Bad::High, factor: 1.5, well: 50.0 },
    Metric { name: "DatabaseConnections", unit: "", bad: Bad::High, factor: 2.0, well: 20.0 },
    Metric { name: "ReadLatency", unit: "s", bad: Bad::High, factor: 3.0, well: 0.005 },
    Metric { name: "WriteLatency", unit: "s", bad: Bad::High, factor: 3.0, well: 0.005 },
    Metric { name: "DiskQueueDepth", unit: "", bad: Bad::High, factor: 3.0, well: 5.0 },
    Metric { name: "FreeableMemory", unit: "B", bad: Bad::Low, factor: 2.0, well: 1024.0 * MIB },
    Metric { name: "FreeStorageSpace", unit: "B", bad: Bad::Low, factor: 2.0, well: 10_240.0 * MIB },
];

/// A metric over some time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// Its name.
    pub name: String,
    /// The mean of what was seen; `None` if nothing was.
    pub mean: Option<f64>,
}

/// What is unusual, in words; and what can't be told, since unknown is never well.
pub fn unusual(usual: &[Measured], now: &[Measured]) -> Vec<String> {
    let mean = |list: &[Measured], name: &str| list.iter().find(|measured| measured.name == name).and_then(|m| m.mean);
    METRICS
        .iter()
        .filter_map(|metric| match (mean(usual, metric.name), mean(now, metric.name)) {
            (_, None) => Some(format!("{}: no data", metric.name)),
            (None, Some(now)) => (!is_well(metric, now)).then(|| format!("{} is {now:.3}{}", metric.name, metric.unit)),
            (Some(usual), Some(now)) => is_unusual(metric, usual, now)
                .then(|| format!("{} is {now:.3}{}, usually {usual:.3}{}", metric.name, metric.unit, metric.unit)),
        })
        .collect()
}

fn is_well(metric: &Metric, now: f64) -> bool {
    match metric.bad {
        Bad::High => now <= metric.well,
        Bad::Low => now >= metric.well,
    }
}

fn is_unusual(metric: &Metric, usual: f64, now: f64) -> bool {
    let beyond = match metric.bad {
        Bad::High => now > usual * metric.factor,
        Bad::Low => now * metric.factor < usual,
    };
    beyond && !is_well(metric, now)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(value: impl Fn(&Metric) -> Option<f64>) -> Vec<Measured> {
        METRICS.iter().map(|metric| Measured { name: metric.name.into(), mean: value(metric) }).collect()
    }

    #[test]
    fn what_is_as_usual_is_well() {
        let usual = all(|metric| Some(metric.well));
        assert_eq!(unusual(&usual, &usual), Vec::<String>::new());
    }

    #[test]
    fn far_more_latency_and_far_less_memory_are_told() {
        let usual = all(|metric| Some(metric.well));
        let now = all(|metric| match metric.name {
            "ReadLatency" => Some(0.5),
            "FreeableMemory" => Some(MIB),
            _ => Some(metric.well),
        });
        let found = unusual(&usual, &now);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].starts_with("ReadLatency is 0.500s"));
    }

    #[test]
    fn no_data_is_never_well() {
        let usual = all(|metric| Some(metric.well));
        assert_eq!(unusual(&usual, &[]).len(), METRICS.len());
    }
}
