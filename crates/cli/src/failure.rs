//! Errors for people: what happened, to what, and what to do next.

use std::fmt;

/// Context that carries a hint, and whether the command line or configuration was wrong.
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    hint: Option<String>,
    usage: bool,
}

impl Failure {
    /// What the user asked for could not be done (exit code 1).
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None, usage: false }
    }

    /// What the user asked for makes no sense as it stands (exit code 2).
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None, usage: true }
    }

    /// Adds what to do next.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// As an error that nothing else caused.
    pub(crate) fn into_error(self) -> anyhow::Error {
        anyhow::Error::new(self)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// `Err` of a [`Failure`] without a cause.
pub(crate) fn fail<T>(failure: Failure) -> anyhow::Result<T> {
    Err(failure.into_error())
}

/// Attaches a [`Failure`] to an error as its context.
pub(crate) trait OrFail<T> {
    /// The failure is made only when there is an error.
    fn or_fail(self, failure: impl FnOnce() -> Failure) -> anyhow::Result<T>;
}

impl<T, E: Into<anyhow::Error>> OrFail<T> for Result<T, E> {
    fn or_fail(self, failure: impl FnOnce() -> Failure) -> anyhow::Result<T> {
        self.map_err(|e| e.into().context(failure()))
    }
}

impl<T> OrFail<T> for Option<T> {
    fn or_fail(self, failure: impl FnOnce() -> Failure) -> anyhow::Result<T> {
        self.ok_or_else(|| failure().into_error())
    }
}

/// What is printed, and the exit code.
#[derive(Debug)]
pub(crate) struct Report {
    /// Message and its causes, the outermost first.
    pub(crate) causes: Vec<String>,
    /// What to do next.
    pub(crate) hint: Option<String>,
    /// 1: it failed; 2: it was asked for wrongly.
    pub(crate) exit_code: u8,
}

impl Report {
    /// Reads an error for people.
    pub(crate) fn of(error: &anyhow::Error) -> Self {
        let mut causes: Vec<String> = Vec::new();
        for cause in error.chain() {
            let text = cause.to_string();
            // Many libraries repeat their cause in their own text.
            if !causes.last().is_some_and(|last| last.contains(&text)) {
                causes.push(text);
            }
        }
        let failure = error.downcast_ref::<Failure>();
        let hint = failure
            .and_then(|f| f.hint.clone())
            .or_else(|| error.chain().find_map(crate::chain_ops::hint_of));
        let exit_code = if failure.is_some_and(|f| f.usage) { 2 } else { 1 };
        Self { causes, hint, exit_code }
    }
}
