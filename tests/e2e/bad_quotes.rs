//! Quotes that are not as the provider gave them.

use anyhow::{Context as _, Result, bail, ensure};
use casemate_client::{
    chain::{Call, ChainClient, ChainError, ChainEvent},
    provider::{ProviderClient, QuoteWanted, SignedQuote},
};
use casemate_manifest::Manifest;
use casemate_primitives::{Asset, Balance, ManifestRef, Resources, blake2_256};
use casemate_tests::{Options, Service, User, until, with_cluster};

use crate::common::total;

/// A manifest as the command line would send it.
struct Wanted {
    canonical: String,
    resources: Resources,
    replicas: u16,
}

impl Wanted {
    fn new(service: &Service) -> Result<Self> {
        let manifest = Manifest::parse(&service.yaml())?;
        let needs = manifest.pod_resources();
        Ok(Self {
            canonical: String::from_utf8(manifest.to_canonical_json())?,
            resources: Resources {
                cpu_millicores: needs.cpu_millicores,
                memory_mib: needs.memory_mib,
                storage_mib: needs.storage_mib,
                gpus: needs.gpus,
            },
            replicas: manifest.spec.replicas,
        })
    }

    async fn quote(&self, client: &ProviderClient) -> Result<SignedQuote> {
        let Self { canonical, resources, replicas } = self;
        let wanted = QuoteWanted {
            manifest: canonical,
            resources: *resources,
            replicas: *replicas,
            asset: Asset::Native,
        };
        Ok(client.quote(&wanted).await?)
    }

    fn reference(&self) -> Result<ManifestRef> {
        let hash = blake2_256(self.canonical.as_bytes());
        Ok(ManifestRef { hash, size: u32::try_from(self.canonical.len())? })
    }
}

/// What is sent to the chain.
#[derive(Clone)]
struct Order {
    manifest: ManifestRef,
    quote: SignedQuote,
    deposit: Balance,
}

impl Order {
    fn call(&self) -> Call {
        Call::Deploy {
            manifest: self.manifest,
            quote: self.quote.quote,
            signature: self.quote.signature,
            deposit: self.deposit,
            spend_rate_max: self.deposit,
        }
    }
}

#[test]
fn quotes_are_used_as_they_were_given_and_once() {
    let mut options = Options::new(2, &["ann", "bob"]);
    options.providers[1].quote_ttl = "3s".to_owned();
    with_cluster(options, async |cluster| {
        let chain = cluster.node.chain().await?;
        let ledger = cluster.ledger().await?;
        let [ann, bob] = cluster.publishers.as_slice() else { bail!("two publishers") };
        let [first, second] = cluster.providers.as_slice() else { bail!("two providers") };
        let start = ledger.height().await?;
        let before = total(ledger.balance(start, &ann.account).await?);

        let wanted = Wanted::new(&Service::new("book", &cluster.first))?;
        let quote = wanted.quote(&first.client(ann, &chain)?).await?;
        let deposit = quote.quote.terms.deposit_min;
        let good = Order { manifest: wanted.reference()?, quote, deposit };

        let mut cheap = good.clone();
        cheap.quote.quote.terms.prices.memory_mib_second -= 1;
        refused(&chain, ann, &cheap, "QuoteSignature").await?;
        let mut elsewhere = good.clone();
        elsewhere.quote.quote.provider = second.account();
        refused(&chain, ann, &elsewhere, "QuoteSignature").await?;
        let mut longer = good.clone();
        longer.quote.quote.expires_at += 60;
        refused(&chain, ann, &longer, "QuoteSignature").await?;
        refused(&chain, bob, &good, "QuotePublisher").await?;
        let mut other_work = good.clone();
        other_work.manifest.hash = [7; 32];
        refused(&chain, ann, &other_work, "QuoteManifest").await?;
        let mut poor = good.clone();
        poor.deposit -= 1;
        refused(&chain, ann, &poor, "DepositTooSmall").await?;

        // A quote that has run out.
        let late = wanted.quote(&second.client(ann, &chain)?).await?;
        let expires_at = late.quote.expires_at;
        let late = Order { quote: late, ..good.clone() };
        until("the quote has run out", async || {
            let now = chain.time().await?;
            ensure!(now > expires_at, "it is {now}, and it holds until {expires_at}");
            Ok(())
        })
        .await?;
        refused(&chain, ann, &late, "QuoteExpired").await?;

        // Nothing was lost but the fees, and the good quote still holds: once.
        let end = ledger.height().await?;
        let books = ledger.read(start, end).await?;
        let after = ledger.balance(end, &ann.account).await?;
        assert_eq!(after.held, 0);
        assert_eq!(total(after) + books.fees_of(&ann.account), before);
        let included = chain.submit(&ann.key, good.call()).await?;
        let opened = included.events.iter().any(|e| matches!(e, ChainEvent::LeaseOpened { .. }));
        ensure!(opened, "{included:?}");
        refused(&chain, ann, &good, "QuoteUsed").await?;
        let leases = chain.leases_of_publisher(&ann.account).await?;
        ensure!(leases.len() == 1 && leases[0].escrow == deposit, "{leases:?}");
        Ok(())
    });
}

/// The chain refuses with this error of the leases pallet, which says what to do.
async fn refused(chain: &ChainClient, who: &User, order: &Order, expected: &str) -> Result<()> {
    let result = chain.submit(&who.key, order.call()).await;
    let error = result.err().with_context(|| format!("it should have failed: {expected}"))?;
    match error {
        ChainError::Refused { pallet, name, text } => {
            ensure!((pallet.as_str(), name.as_str()) == ("Leases", expected), "{pallet}.{name}");
            ensure!(!text.is_empty(), "{pallet}.{name} says nothing");
            Ok(())
        }
        error => bail!("{expected} was expected: {error}"),
    }
}
