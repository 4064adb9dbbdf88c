//! Waiting for conditions.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

/// How long anything is waited for. The machine may be busy: what works is never this slow.
pub const PATIENCE: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(100);

/// Something that does not get better by waiting.
#[derive(Debug)]
pub struct Fatal(
    /// What happened.
    pub String,
);

impl std::fmt::Display for Fatal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Fatal {}

/// Asks again and again until there is an answer.
///
/// # Errors
/// The last error when [`PATIENCE`] is over, or the first [`Fatal`] one.
pub async fn until<T>(what: &str, mut check: impl AsyncFnMut() -> Result<T>) -> Result<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match check().await {
            Ok(value) => return Ok(value),
            Err(error) if error.downcast_ref::<Fatal>().is_some() => {
                return Err(error).with_context(|| format!("waited until {what}"));
            }
            Err(error) if Instant::now() >= deadline => {
                let seconds = PATIENCE.as_secs();
                return Err(error).with_context(|| format!("waited {seconds} s until {what}"));
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}
