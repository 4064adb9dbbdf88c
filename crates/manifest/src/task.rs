//! When and how a task runs.

use crate::error::shown;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, de};
use std::{borrow::Cow, fmt, str::FromStr};

const BUDGET_ALLOWED: &str = "an amount above zero in the lease's asset, in quotes, with at most 12 \
                              decimals, such as \"0.5\"";

/// What is particular to a task.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TaskSpec {
    /// When it runs; once, as soon as it is deployed, where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<ScheduleSpec>,
    /// How long a run may take, all tries and pauses together; then its app is ended.
    #[schemars(range(min = 1, max = 2_592_000))]
    pub deadline_seconds: u32,
    /// How late a run may begin; later it is missed.
    #[serde(default = "start_seconds")]
    #[schemars(range(min = 1, max = 2_592_000))]
    pub start_seconds_max: u32,
    /// How often the app is started again, in the same pod, when its exit code is not 0.
    #[serde(default)]
    #[schemars(range(min = 0, max = 100))]
    pub retries: u32,
    /// The pause before the first retry; doubled for each one after.
    #[serde(default = "one")]
    #[schemars(range(min = 0, max = 3600))]
    pub backoff_seconds: u32,
    /// Most that is paid for a run, in whole units of the lease's asset (`"0.5"`).
    pub run_budget: RunBudget,
    /// Files whose hashes go into the run's result, as they are when the app has ended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub artefacts: Vec<String>,
}

/// When a task runs: exactly one of `every` and `cron`.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ScheduleSpec {
    /// Again and again, first when it is deployed: seconds from one time to the next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 10))]
    pub every: Option<u32>,
    /// By the calendar: minute, hour, day of month, month, day of week.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cron: Option<String>,
    /// The calendar's time zone, such as `Europe/Berlin`; `UTC` where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
}

/// A decimal amount of money above zero, as it is written.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub struct RunBudget(String);

/// A text that is no such amount.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("`{found}` is not a budget (allowed: {BUDGET_ALLOWED})")]
pub struct InvalidRunBudget {
    found: String,
}

impl RunBudget {
    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// In the smallest units of money that has so many decimals; `None` where it can't express it.
    pub fn in_units(&self, decimals: u8) -> Option<u128> {
        let (whole, part) = self.0.split_once('.').unwrap_or((&self.0, ""));
        let part = part.trim_end_matches('0');
        let missing = usize::from(decimals).checked_sub(part.len())?;
        [whole, part, &"0".repeat(missing)].concat().parse().ok()
    }
}

impl fmt::Display for RunBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for RunBudget {
    type Err = InvalidRunBudget;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
        let are_digits = |part: &str, max: usize| {
            (1..=max).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
        };
        let is_zero = text.bytes().all(|byte| matches!(byte, b'0' | b'.'));
        if are_digits(whole, 18) && are_digits(decimals, 12) && !is_zero {
            return Ok(Self(text.to_owned()));
        }
        Err(InvalidRunBudget { found: shown(text) })
    }
}

impl<'de> Deserialize<'de> for RunBudget {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for RunBudget {
    fn schema_name() -> Cow<'static, str> {
        "RunBudget".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": r"^[0-9]{1,18}(\.[0-9]{1,12})?$",
        })
    }
}

fn start_seconds() -> u32 {
    300
}

fn one() -> u32 {
    1
}

#[cfg(test)]
mod tests;
