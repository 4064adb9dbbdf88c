//! Two publishers and two providers at once.

use anyhow::{Result, bail, ensure};
use casemate_client::{api::RefusalCode, provider::LogOptions};
use casemate_tests::{Connection, Options, PRICES, Service, User, get, with_cluster};

use crate::common::{Deployed, answers, containers, deploy, paid_more};

#[test]
fn two_publishers_two_providers() {
    with_cluster(Options::new(2, &["ann", "bob"]), async |cluster| {
        let chain = cluster.node.chain().await?;
        let ledger = cluster.ledger().await?;
        let [ann, bob] = cluster.publishers.as_slice() else { bail!("two publishers") };
        let [first, second] = cluster.providers.as_slice() else { bail!("two providers") };
        let (at_first, at_second) = (first.user.address(), second.user.address());

        // Both at once, one at each provider and one more beside the other's.
        let service = |name| Service::new(name, &cluster.first);
        let (anns, bobs) = std::thread::scope(|scope| {
            let anns = scope.spawn(|| -> Result<[Deployed; 2]> {
                Ok([
                    deploy(ann, &service("ann-one"), &["--provider", &at_first])?,
                    deploy(ann, &service("ann-two"), &["--provider", &at_second])?,
                ])
            });
            let bobs = deploy(bob, &service("bob-one"), &["--provider", &at_first]);
            (anns.join(), bobs)
        });
        let (Ok(anns), bobs) = (anns, bobs?) else { bail!("a thread panicked") };
        let anns = anns?;
        for (provider, host) in [
            (first, "ann-one.localhost"),
            (first, "bob-one.localhost"),
            (second, "ann-two.localhost"),
        ] {
            answers(provider, host).await?;
        }

        // Each app has its own data, and its own provider only.
        let form = Some("name=Ann&message=for+my+eyes");
        Connection::open(first.ingress())?.request("ann-one.localhost", "/entries", form)?;
        ensure!(get(first.ingress(), "ann-one.localhost", "/")?.body.contains("for my eyes"));
        for (provider, host) in [(first, "bob-one.localhost"), (second, "ann-two.localhost")] {
            ensure!(get(provider.ingress(), host, "/")?.body.contains("No entries yet"), "{host}");
        }
        let page = get(second.ingress(), "bob-one.localhost", "/")?;
        ensure!(page.status == 404, "{page:?}");

        // A host name that somebody has is refused with the reason, by that provider alone.
        let mut taken = service("thief");
        taken.host = "ann-one.localhost".to_owned();
        let file = bob.write("thief.yaml", &taken.yaml())?;
        let held = chain.balance(&bob.account).await?;
        let refused = bob.run(&["deploy", &file, "--provider", &at_first])?;
        refused
            .refuses(&["`ann-one.localhost` belongs to another account", "no provider takes"])?;
        // What a lease of his has earned meanwhile leaves what is held; nothing else does.
        let after = chain.balance(&bob.account).await?;
        assert_eq!(after.free, held.free, "nothing was spent");
        ensure!(after.held <= held.held, "{after:?} after {held:?}");
        let quotes = bob.json(&["quotes", &file])?;
        let verdicts: Vec<bool> = quotes
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|offer| offer["accepted"].as_bool())
            .collect();
        ensure!(verdicts == [true, false], "the other provider takes it: {quotes}");

        // Nobody reads of what is another's: neither by the command line nor at the API.
        sees_only_own(ann, "ann-one", "bob-one", bobs)?;
        sees_only_own(bob, "bob-one", "ann-one", anns[0])?;
        let client = first.client(bob, &chain)?;
        let answers = [
            client.lease(anns[0].lease).await.err(),
            client.events(anns[0].lease, 0).await.err(),
            client.logs(anns[0].lease, &LogOptions::default()).await.err(),
            client.put_manifest(anns[0].lease, "{}").await.err(),
        ];
        for answer in answers {
            let code = answer.as_ref().and_then(|error| error.refusal_code());
            ensure!(code == Some(RefusalCode::NotFound), "{answer:?}");
        }

        // Both are paid, each by its own lease.
        for lease in [anns[0], anns[1], bobs] {
            paid_more(&chain, lease.lease, 0).await?;
        }
        let books = ledger.read(0, ledger.height().await?).await?;
        books.check_claims(&PRICES)?;
        let names = ["l0-r0-v1/guestbook", "l1-r0-v1/guestbook", "l2-r0-v1/guestbook"];
        let of = |provider: &[Deployed]| -> Vec<&str> {
            let mut ids: Vec<u64> = provider.iter().map(|deployed| deployed.lease.0).collect();
            ids.sort_unstable();
            ids.iter().filter_map(|id| names.get(usize::try_from(*id).ok()?).copied()).collect()
        };
        let here = containers(first, &of(&[anns[0], bobs]))?;
        first.traces().exactly(&here)?;
        let there = containers(second, &of(&[anns[1]]))?;
        second.traces().exactly(&there)
    });
}

fn sees_only_own(user: &User, own: &str, others: &str, others_lease: Deployed) -> Result<()> {
    let logs = user.run(&["logs", own])?;
    ensure!(logs.code == 0 && logs.stdout.contains("listening on"), "{}", logs.text());
    let id = others_lease.lease.to_string();
    for command in ["logs", "status", "events", "stop"] {
        user.run(&[command, &id])?.refuses(&["belongs to", "--account"])?;
        user.run(&[command, others])?.refuses(&[&format!("no lease called `{others}`")])?;
    }
    Ok(())
}
