//! `casemate logs` and `casemate events`

use std::{io::IsTerminal as _, time::Duration};

use casemate_client::{
    api::{EventEntry, LogEntry},
    provider::{LogOptions, ProviderClient},
};
use casemate_primitives::LeaseId;
use futures::StreamExt as _;

use super::{find, passes_by_itself, provider_of};
use crate::{
    address::Address,
    chain_ops::Chain,
    cli::{EventsArgs, LogsArgs},
    context::Context,
    printer::printable,
};

/// Pause before a broken stream is taken up again.
const RECONNECT: Duration = Duration::from_secs(1);

pub(crate) async fn run(context: &Context, args: &LogsArgs) -> anyhow::Result<()> {
    let signer = context.signer()?;
    let chain = Chain::connect(context).await?;
    let lease = find(context, &chain, signer.address, args.lease.as_deref()).await?;
    let client = provider_of(context, &chain, &signer, Address(lease.provider)).await?;
    let options = LogOptions {
        container: args.container.clone(),
        tail: args.tail,
        follow: args.follow,
        ..LogOptions::default()
    };
    let shown = show_lines(context, &chain, &client, lease.id, options);
    if !args.follow {
        return shown.await;
    }
    tokio::select! {
        result = shown => result,
        // Ctrl-C is how following ends.
        result = tokio::signal::ctrl_c() => Ok(result?),
    }
}

async fn show_lines(
    context: &Context,
    chain: &Chain,
    client: &ProviderClient,
    lease: LeaseId,
    mut options: LogOptions,
) -> anyhow::Result<()> {
    let prefixed = options.container.is_none();
    // Whoever saves lines wants them as they are; a terminal would obey them.
    let tame = std::io::stdout().is_terminal();
    loop {
        let mut broken = None;
        match client.logs(lease, &options).await {
            Ok(mut lines) => {
                while let Some(line) = lines.next().await {
                    let line = match line {
                        Ok(line) => line,
                        Err(error) => {
                            broken = Some(error);
                            break;
                        }
                    };
                    context.printer.item(&line, || human_line(&line, prefixed, tame))?;
                    options.after.insert(line.pod, line.cursor);
                    options.tail = None;
                }
            }
            Err(error) => broken = Some(error),
        }
        match broken {
            Some(error) if !(options.follow && passes_by_itself(&error)) => {
                return Err(error.into());
            }
            Some(error) => {
                let error = printable(&error.to_string());
                context.printer.note(format!("The stream broke, trying again: {error}"));
            }
            None if !options.follow => return Ok(()),
            None => {}
        }
        if chain.lease(lease).await?.is_none() {
            context.printer.note(format!("Lease {lease} is over"));
            return Ok(());
        }
        tokio::time::sleep(RECONNECT).await;
    }
}

fn human_line(line: &LogEntry, prefixed: bool, tame: bool) -> String {
    let text = if tame { printable(&line.text) } else { line.text.clone() };
    match (prefixed, line.stream.as_str()) {
        (_, "agent") => format!("{}/{} [agent] {text}", line.pod, line.container),
        (true, _) => format!("{}/{} {text}", line.pod, line.container),
        (false, _) => text,
    }
}

pub(crate) async fn events(context: &Context, args: &EventsArgs) -> anyhow::Result<()> {
    let signer = context.signer()?;
    let chain = Chain::connect(context).await?;
    let lease = find(context, &chain, signer.address, args.lease.as_deref()).await?;
    let client = provider_of(context, &chain, &signer, Address(lease.provider)).await?;
    let now = chain.time().await?;
    let mut after = args.after.unwrap_or(0);
    loop {
        let events = client.events(lease.id, after).await?;
        // A page at a time; a provider that does not move on is not asked for ever.
        let Some(newest) = events.iter().map(|e| e.id).max().filter(|newest| *newest > after)
        else {
            return Ok(());
        };
        for event in &events {
            context.printer.item(event, || human_event(event, now))?;
        }
        after = newest;
    }
}

fn human_event(event: &EventEntry, now: u64) -> String {
    let ago = crate::commands::offers::duration_text(now.saturating_sub(event.time));
    let pod = event.pod.as_ref().map_or_else(String::new, |pod| format!(" {}", printable(pod)));
    format!(
        "{:>5}  {ago:>8} ago  {:12}{pod} {}",
        event.id,
        printable(&event.kind),
        printable(&event.message)
    )
}
