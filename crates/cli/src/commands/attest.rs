//! `casemate attest`

mod verify;

use crate::{cli::AttestCommand, context::Context};

pub(super) fn run(context: &Context, command: &AttestCommand) -> anyhow::Result<()> {
    match command {
        AttestCommand::Verify(args) => verify::run(context, args),
    }
}
