//! `casemate-agent [CONFIG]`: process 1 of a container. See the library.

use std::{path::PathBuf, process::exit};

fn main() {
    let argument = std::env::args_os().nth(1);
    if argument.as_ref().is_some_and(|a| a == "--version") {
        let _ = std::io::Write::write_all(
            &mut std::io::stdout(),
            concat!("casemate-agent ", env!("CARGO_PKG_VERSION"), "\n").as_bytes(),
        );
        return;
    }
    let path = argument.map_or_else(|| PathBuf::from(casemate_agent::CONFIG_PATH), PathBuf::from);
    match casemate_agent::run(&path) {
        Ok(code) => exit(code),
        Err(err) => {
            let text = format!("error: {}\n", casemate_primitives::chain_of(&err));
            let _ = std::io::Write::write_all(&mut std::io::stderr(), text.as_bytes());
            // Neither an app's exit code nor a signal's.
            exit(125)
        }
    }
}
