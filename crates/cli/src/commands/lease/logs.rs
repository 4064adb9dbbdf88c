//! `casemate logs` and `casemate events`

mod sealed;
mod verify;

pub(super) use verify::prove;

use std::{collections::BTreeMap, io::IsTerminal as _, time::Duration};

use casemate_client::{
    api::{EventEntry, LogEntry},
    provider::{LogOptions, ProviderClient},
};
use casemate_primitives::LeaseId;
use futures::StreamExt as _;

use super::{find, notes, passes_by_itself, place::Place, provider_of};
use crate::{
    address::Address,
    chain_ops::Chain,
    cli::{EventsArgs, LogsArgs},
    context::Context,
    kept_records::KeptRecords,
    printer::printable,
};

/// Pause before a broken stream is taken up again.
const RECONNECT: Duration = Duration::from_secs(1);

pub(crate) async fn run(context: &Context, args: &LogsArgs) -> anyhow::Result<()> {
    let (signer, _, log_seed) = context.signer_and_log_seed()?;
    let chain = Chain::connect(context).await?;
    let genesis_hash = chain.genesis_hash();
    let secret = log_seed.secret(&genesis_hash);
    let notes = notes(context, &chain);
    let place = Place::find(context, &chain, &signer, args.lease.as_deref(), args.provider).await?;
    let names = sealed::Names::of(&place, &notes).await;
    if args.verify {
        let kept = KeptRecords::open(&notes.records(place.id), genesis_hash, place.id)?;
        let keys = (genesis_hash, &secret);
        return verify::run(context, &place, &names, &kept, keys, args.tail).await;
    }
    let options = LogOptions {
        container: args.container.clone(),
        tail: args.tail,
        follow: args.follow,
        ..LogOptions::default()
    };
    let names = names.only(args.container.clone());
    let mut reader = sealed::Reader::new(&place, names, genesis_hash, &secret);
    if args.follow {
        return follow(context, &chain, &place, &mut reader, options).await;
    }
    let sealed = reader.read(args.tail).await?;
    if sealed.is_empty() && place.view.is_some() {
        return show_lines(context, &chain, &place.client, place.id, options).await;
    }
    let shows = shown(context, args.container.is_none());
    let mut lines: Vec<Line> = sealed.into_iter().map(Line::Sealed).collect();
    if place.view.is_some() {
        // What the agents say of themselves is not sealed.
        let mut plain = place.client.logs(place.id, &options).await?;
        while let Some(line) = plain.next().await {
            lines.push(Line::Plain(line?));
        }
    }
    lines.sort_by_key(|line| line.entry().time_ms);
    if let Some(tail) = args.tail {
        let mut left: BTreeMap<String, usize> = BTreeMap::new();
        for line in lines.iter() {
            *left.entry(line.entry().pod.clone()).or_default() += 1;
        }
        lines.retain(|line| {
            let count = left.entry(line.entry().pod.clone()).or_default();
            *count = count.saturating_sub(1);
            *count < tail
        });
    }
    lines.iter().try_for_each(shows)
}

/// A line of either kind.
enum Line {
    Plain(LogEntry),
    Sealed(sealed::ShownLine),
}

impl Line {
    fn entry(&self) -> &LogEntry {
        match self {
            Self::Plain(entry) => entry,
            Self::Sealed(line) => &line.entry,
        }
    }
}

fn shown(context: &Context, prefixed: bool) -> impl Fn(&Line) -> anyhow::Result<()> {
    let tame = std::io::stdout().is_terminal();
    move |line| {
        let human = || human_line(line.entry(), prefixed, tame);
        match line {
            Line::Plain(entry) => context.printer.item(entry, human),
            Line::Sealed(line) => context.printer.item(line, human),
        }
    }
}

async fn follow(
    context: &Context,
    chain: &Chain,
    place: &Place,
    reader: &mut sealed::Reader<'_>,
    options: LogOptions,
) -> anyhow::Result<()> {
    let shows = shown(context, options.container.is_none());
    let show = |line: &sealed::ShownLine| shows(&Line::Sealed(line.clone()));
    let tail = options.tail;
    let is_over = {
        let plain = async {
            match place.view {
                Some(_) => show_lines(context, chain, &place.client, place.id, options).await,
                None => Ok(()),
            }
        };
        let sealed = reader.follow(context, tail, show);
        tokio::select! {
            result = plain => result.map(|()| true)?,
            result = sealed => result.map(|()| false)?,
            // Ctrl-C is how following ends.
            result = tokio::signal::ctrl_c() => result.map(|()| false)?,
        }
    };
    if is_over {
        let tail = tail.filter(|_| !reader.has_read());
        reader.read(tail).await?.iter().try_for_each(show)?;
    }
    Ok(())
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
