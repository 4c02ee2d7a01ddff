//! Which credentials apply to an object, and when they are due.

use super::*;

const NOW: SystemTime = SystemTime::UNIX_EPOCH;

fn table(name: &str) -> Ident {
    Ident::parse(name).unwrap()
}

fn of(key: &str) -> StoreOptions {
    StoreOptions::default()
        .with("access_key_id", key)
        .with("secret_access_key", "secret")
}

fn vended(prefix: &str, key: &str) -> Vended {
    Vended {
        prefix: prefix.to_owned(),
        options: of(key),
        expires: None,
        is_guessed: false,
    }
}

fn vending<const N: usize>(place: &str, credentials: [(&str, &str); N]) -> Vending {
    Vending {
        places: vec![place.to_owned()],
        credentials: credentials.map(|(at, key)| vended(at, key)).into(),
    }
}

fn key(wallet: &Wallet, uri: &str) -> Option<StoreOptions> {
    let key = wallet.find(&ObjectUri::parse(uri).unwrap())?;
    wallet.get(&key).map(|it| it.vended.options.clone())
}

#[test]
fn the_longest_prefix_wins() {
    let mut wallet = Wallet::default();
    let all = [
        ("s3", "any"),
        ("s3://b/t", "table"),
        ("s3a://b/t/data/", "data"),
        ("s3://b/t/data/x/", "deep"),
    ];
    wallet.take(&table("n.t"), vending("s3://b/t", all), NOW);
    assert_eq!(key(&wallet, "s3://b/t/data/y/f"), Some(of("data")));
    assert_eq!(key(&wallet, "s3a://b/t/data/x/f"), Some(of("deep")));
    assert_eq!(key(&wallet, "s3://b/t/metadata/m"), Some(of("table")));
    assert_eq!(key(&wallet, "s3://c/t/metadata/m"), Some(of("any")));
    assert_eq!(key(&wallet, "gs://b/t/metadata/m"), None);
    // Another table's do not touch these, and new ones of this table replace them.
    let other = vending("s3://b/u", [("s3://b/u", "u")]);
    wallet.take(&table("n.u"), other, NOW);
    let anew = vending("s3://b/t", [("s3://b/t", "new")]);
    wallet.take(&table("n.t"), anew, NOW);
    assert_eq!(key(&wallet, "s3://b/t/data/y/f"), Some(of("new")));
    assert_eq!(key(&wallet, "s3://b/u/data/y/f"), Some(of("u")));
    assert_eq!(key(&wallet, "s3://c/t/metadata/m"), None);
}

#[test]
fn a_prefix_of_two_tables_is_each_ones_own() {
    for prefix in ["s3", "s3://b", "s3://b/"] {
        let mut wallet = Wallet::default();
        for (name, place) in [
            ("n.t", "s3://b/t"),
            ("n.u", "s3a://b/u/"),
            ("n.inner", "s3://b/t/inner"),
        ] {
            wallet.take(&table(name), vending(place, [(prefix, name)]), NOW);
        }
        assert_eq!(key(&wallet, "s3://b/t/data/f"), Some(of("n.t")));
        assert_eq!(key(&wallet, "s3://b/u/data/f"), Some(of("n.u")));
        assert_eq!(key(&wallet, "s3://b/t/inner/data/f"), Some(of("n.inner")));
    }
}

#[test]
fn a_table_that_was_given_none_does_not_take_anothers() {
    let mut wallet = Wallet::default();
    wallet.take(&table("n.t"), vending("s3://b/t", [("s3", "t")]), NOW);
    assert_eq!(key(&wallet, "s3://b/u/data/f"), Some(of("t")));
    wallet.take(&table("n.u"), vending("s3://b/u", []), NOW);
    assert_eq!(key(&wallet, "s3://b/u/data/f"), None);
    assert_eq!(key(&wallet, "s3://b/t2/data/f"), Some(of("t")));
}

#[test]
fn of_two_tables_in_one_place_the_last_has_it_and_a_forgotten_one_nothing() {
    let place = "s3://b/t";
    let uri = "s3://b/t/data/f";
    // By name the first of them is once before and once behind.
    for (first, last) in [("n.t", "n.t_v2"), ("n.t", "n.a")] {
        let mut wallet = Wallet::default();
        for name in [first, last] {
            wallet.take(&table(name), vending(place, [(place, name)]), NOW);
        }
        assert_eq!(key(&wallet, uri), Some(of(last)));
        wallet.take(&table(first), vending(place, [(place, first)]), NOW);
        assert_eq!(key(&wallet, uri), Some(of(first)));
        wallet.forget(&table(first));
        assert_eq!(key(&wallet, uri), Some(of(last)));
        wallet.forget(&table(last));
        assert_eq!(key(&wallet, uri), None);
    }
}

#[test]
fn beyond_the_most_tables_the_oldest_makes_room_and_takes_no_others() {
    let mut wallet = Wallet::default();
    let take = |wallet: &mut Wallet, at: usize| {
        let (name, place) = (format!("n.t{at}"), format!("s3://b/t{at}"));
        let vending = vending(&place, [("s3://b", name.as_str())]);
        wallet.take(&table(&name), vending, NOW);
    };
    for at in 0..TABLES_MAX {
        take(&mut wallet, at);
    }
    // The first is asked again, so the second is the oldest.
    take(&mut wallet, 0);
    take(&mut wallet, TABLES_MAX);
    let last = format!("n.t{TABLES_MAX}");
    let uri = format!("s3://b/t{TABLES_MAX}/data/f");
    assert_eq!(key(&wallet, &uri), Some(of(&last)));
    assert_eq!(key(&wallet, "s3://b/t0/data/f"), Some(of("n.t0")));
    assert_eq!(key(&wallet, "s3://b/t1/data/f"), None);
    assert_eq!(wallet.pockets.len(), TABLES_MAX);
    assert_eq!(wallet.turns.len(), TABLES_MAX);
}

#[test]
fn a_store_is_kept_only_for_the_place_that_it_was_made_for() {
    let mut wallet = Wallet::default();
    let uri = ObjectUri::parse("s3://b/t/data/f").unwrap();
    let Root::Bucket(bucket) = uri.root() else {
        panic!("{uri}")
    };
    let at = |endpoint: &str, key: &str| {
        let mut vending = vending("s3://b/t", [("s3://b/t", key)]);
        vending.credentials[0].options = of(key).with("endpoint", endpoint);
        vending
    };
    let store: Arc<dyn ObjectStore> = Arc::new(object_store::memory::InMemory::new());
    wallet.take(&table("n.t"), at("http://old", "k1"), NOW);
    let key = wallet.find(&uri).unwrap();
    let made_of = wallet.get(&key).unwrap().vended.options.clone();
    // The endpoint changes while the store is made.
    wallet.take(&table("n.t"), at("http://new", "k2"), NOW);
    wallet.keep(&key, bucket, &made_of, &store);
    assert!(wallet.get(&key).unwrap().stores.is_empty());
    // Other credentials for the same place leave it good.
    wallet.take(&table("n.t"), at("http://old", "k3"), NOW);
    wallet.keep(&key, bucket, &made_of, &store);
    assert_eq!(wallet.get(&key).unwrap().stores.len(), 1);
}

#[test]
fn credentials_are_for_the_store_that_knows_them() {
    let mut wallet = Wallet::default();
    let place = "abfs://c@a.dfs.core.windows.net/t";
    let mut vending = vending(place, [(place, "of Amazon")]);
    wallet.take(&table("n.t"), vending.clone(), NOW);
    let uri = "abfss://c@a.dfs.core.windows.net/t/data/f";
    assert_eq!(key(&wallet, uri), None);
    let sas = StoreOptions::default().with("sas_key", "sig=1");
    vending.credentials[0].options = sas.clone();
    wallet.take(&table("n.t"), vending, NOW);
    assert_eq!(key(&wallet, uri), Some(sas));
}

#[test]
fn a_prefix_is_of_the_store_whatever_its_scheme_is_called() {
    let gcs = StoreOptions::default().with("bearer_token", "t");
    let azure = StoreOptions::default().with("sas_key", "sig=1");
    for (prefix, uri, options) in [
        ("gcs://b/t", "gs://b/t/data/f", &gcs),
        ("gcs", "gcs://b/t/data/f", &gcs),
        (
            "wasbs://c@a.blob.core.windows.net/t",
            "abfss://c@a.dfs.core.windows.net/t/data/f",
            &azure,
        ),
        ("wasb", "wasb://c@a.blob.core.windows.net/t/f", &azure),
    ] {
        let mut wallet = Wallet::default();
        let mut vending = vending("s3://elsewhere", [(prefix, "")]);
        vending.credentials[0].options = options.clone();
        wallet.take(&table("n.t"), vending, NOW);
        assert_eq!(key(&wallet, uri).as_ref(), Some(options), "{prefix}");
    }
}

#[test]
fn what_is_cut_otherwise_takes_the_place_of_what_was() {
    let mut wallet = Wallet::default();
    let deep = vending("s3://b/t", [("s3://b/t/data", "old")]);
    wallet.take(&table("n.t"), deep, NOW);
    let uri = ObjectUri::parse("s3://b/t/data/f").unwrap();
    let key = wallet.find(&uri).unwrap();
    let wide = vending("s3://b/t", [("s3://b/t", "new"), ("s3://b/u", "other")]);
    wallet.take(&table("n.t"), wide, NOW);
    let now = wallet.successor(&key, BucketKind::S3).unwrap();
    assert_eq!(now.vended.options, of("new"));
}

#[test]
fn they_are_due_before_they_expire_and_not_at_each_object() {
    let at = |seconds: u64| NOW + Duration::from_secs(seconds);
    let mut lasting = Held {
        vended: vended("s3://b", "k"),
        asked: NOW,
        stores: BTreeMap::new(),
    };
    assert!(!lasting.is_due(at(1_000_000)));
    lasting.vended.expires = Some(at(3600));
    assert!(!lasting.is_due(at(3299)));
    assert!(lasting.is_due(at(3300)) && !lasting.has_expired(at(3300)));
    assert!(lasting.has_expired(at(3600)));
    // Short-lived ones are soon due all the time.
    lasting.vended.expires = Some(at(60));
    assert!(!lasting.is_due(at(9)));
    assert!(lasting.is_due(at(10)));
    lasting.vended.expires = Some(at(5));
    assert!(lasting.is_due(at(5)));
    // Where that is a guess, they go on, and are asked for after each pause.
    lasting.vended.is_guessed = true;
    assert!(!lasting.is_due(at(9)) && lasting.is_due(at(10)));
    assert!(!lasting.has_expired(at(3600)));
}
