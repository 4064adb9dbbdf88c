//! Runs `casemate` in a home of its own.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// A user's home, gone after the test.
pub(crate) struct Home {
    folder: tempfile::TempDir,
}

/// What a run left.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Home {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    /// A file that only its owner may read.
    pub(crate) fn write_private(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        let mut options = fs::OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(0o600).open(&path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        path
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_casemate"));
        command
            .args(args)
            .env_clear()
            .env("HOME", self.folder.path())
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .current_dir(self.folder.path())
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Run {
        self.finish(&mut self.command(args))
    }

    pub(crate) fn run_with(&self, args: &[&str], variables: &[(&str, &str)]) -> Run {
        self.finish(self.command(args).envs(variables.iter().copied()))
    }

    pub(crate) fn run_fed(&self, args: &[&str], input: &str) -> Run {
        let mut child = self
            .command(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // It may end before it has read everything.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        self.result(&child.wait_with_output().unwrap())
    }

    fn finish(&self, command: &mut Command) -> Run {
        self.result(&command.output().unwrap())
    }

    /// The streams, with what differs from run to run replaced.
    fn result(&self, output: &std::process::Output) -> Run {
        let home = self.folder.path().display().to_string();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace(&home, "[HOME]");
        Run {
            code: output.status.code().expect("it was not killed"),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        }
    }
}

impl Run {
    /// The whole run as one text, as snapshots have it.
    pub(crate) fn text(&self) -> String {
        let mark =
            |text: &str| if text.is_empty() { "" } else { "\n" }.to_owned() + text.trim_end();
        format!("exit: {}\nstdout:{}\nstderr:{}", self.code, mark(&self.stdout), mark(&self.stderr))
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        assert_eq!(self.code, 0, "{}", self.text());
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }

    /// Asserts a failure with this code, and these words on standard error.
    pub(crate) fn fails(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, code, "{}", self.text());
        assert_eq!(self.stdout, "", "a failure gives no data: {}", self.text());
        let errors = self.stderr.lines().filter(|line| line.starts_with("error: ")).count();
        assert_eq!(errors, 1, "{}", self.text());
        for word in words {
            assert!(self.stderr.contains(word), "`{word}` is missing: {}", self.text());
        }
    }
}

/// Whether anyone but the owner may do anything with a file.
pub(crate) fn is_private(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    fs::metadata(path).unwrap().permissions().mode() & 0o077 == 0
}
