//! CloudWatch's metrics of an instance, as means over some time.

use std::time::{Duration, SystemTime};

use aws_sdk_cloudwatch::types::{Dimension, Metric, MetricDataQuery, MetricDataResult, MetricStat};
use aws_smithy_types::DateTime;
use changeover_domain::{
    Failure,
    aws::metrics::{METRICS, Measured},
};

use crate::{error::Told, session::Session};

/// RDS sends one value a minute
/// (<https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/monitoring-cloudwatch.html>).
const PERIOD_SECONDS: i32 = 60;

/// The means of all watched metrics between `from` and `to`. One call: that many metrics fit into it.
pub async fn measured(
    session: &Session,
    identifier: &str,
    from: SystemTime,
    to: SystemTime,
) -> Result<Vec<Measured>, Failure> {
    let queries = METRICS.iter().enumerate().map(|(at, metric)| query(at, metric.name, identifier)).collect();
    let mut pages = session
        .cloudwatch
        .get_metric_data()
        .set_metric_data_queries(Some(queries))
        .start_time(DateTime::from(from))
        .end_time(DateTime::from(to))
        .into_paginator()
        .send();
    let mut values: Vec<Vec<f64>> = vec![Vec::new(); METRICS.len()];
    while let Some(page) = pages.next().await {
        let page = page.told(session.side(), &format!("reading the metrics of {identifier}"))?;
        for result in page.metric_data_results() {
            if let Some(list) = place(result).and_then(|at| values.get_mut(at)) {
                list.extend(result.values());
            }
        }
    }
    Ok(METRICS
        .iter()
        .zip(values)
        .map(|(metric, values)| Measured { name: metric.name.to_owned(), mean: mean(&values) })
        .collect())
}

/// The stretch of time before `to` that is long enough to tell what is usual: a day holds the night and the noon.
pub fn usual_since(to: SystemTime) -> SystemTime {
    to - Duration::from_secs(86_400)
}

fn place(result: &MetricDataResult) -> Option<usize> {
    result.id()?.strip_prefix('m')?.parse().ok()
}

fn query(at: usize, name: &str, identifier: &str) -> MetricDataQuery {
    let dimension = Dimension::builder().name("DBInstanceIdentifier").value(identifier).build();
    let metric = Metric::builder().namespace("AWS/RDS").metric_name(name).dimensions(dimension).build();
    let stat = MetricStat::builder().metric(metric).period(PERIOD_SECONDS).stat("Average").build();
    MetricDataQuery::builder().id(format!("m{at}")).metric_stat(stat).return_data(true).build()
}

fn mean(values: &[f64]) -> Option<f64> {
    // Some thousand values: their number is exact as a float.
    #[allow(clippy::cast_precision_loss)]
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_has_no_mean() {
        assert_eq!(mean(&[]), None);
        assert_eq!(mean(&[1.0, 3.0]), Some(2.0));
    }
}
