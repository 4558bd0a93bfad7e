//! The catalogue part of the store test: versions, activations, servers, and the administrator role.

use std::collections::BTreeMap;

use banter_engine::catalogue::manifest::{FileDigest, Manifest, hash_of};
use banter_stores::{
    AuditEntry, Stores, UserId,
    catalog::{Activation, ActivationReason, Canary, KEPT_CLASSIFIERS, ServerRecord, VersionRecord},
};
use serde_json::json;

fn version(number: i64) -> VersionRecord {
    let part = FileDigest { hash: format!("{number:064x}"), bytes: 1 };
    let manifest = Manifest { files: BTreeMap::from([("bot.yaml".to_owned(), part)]) };
    VersionRecord {
        id: manifest.id(),
        catalogue: format!("{number:016x}"),
        parent: (number > 1).then(|| version(number - 1).id),
        author: "user:2".to_owned(),
        message: format!("новая версия {number}"),
        created_at: number,
        manifest,
    }
}

fn activation(generation: i64, version: &str, canary: Option<Canary>) -> (Activation, AuditEntry) {
    let detail = json!({ "generation": generation });
    let entry = AuditEntry { at: generation, actor: None, action: "catalogue_activated", subject: None, detail };
    let (at, by, reason) = (generation, "key:ci".to_owned(), ActivationReason::Publish);
    (Activation { generation, version: version.to_owned(), canary, at, by, reason }, entry)
}

pub async fn story(stores: &Stores, ann: UserId) {
    blobs(stores).await;
    versions(stores).await;
    activations(stores).await;
    servers(stores).await;
    admins(stores, ann).await;
}

async fn blobs(stores: &Stores) {
    let store = &stores.catalog;
    for content in [Vec::new(), vec![7; 10], (0..2_500_000).map(|n| (n % 251) as u8).collect::<Vec<u8>>()] {
        let hash = hash_of(&content);
        assert_eq!(store.missing_blobs(&[hash.clone(), "0".repeat(64)]).await.unwrap().len(), 2);
        assert_eq!(store.blob(&hash).await.unwrap(), None);
        // Two servers may store the same blob concurrently.
        let (one, two) = futures::join!(store.put_blob(&hash, &content), store.put_blob(&hash, &content));
        one.and(two).unwrap();
        assert_eq!(store.missing_blobs(&[hash.clone(), "0".repeat(64)]).await.unwrap(), ["0".repeat(64)]);
        assert_eq!(store.blob(&hash).await.unwrap(), Some(content));
    }
}

async fn versions(stores: &Stores) {
    let store = &stores.catalog;
    for number in 1..=KEPT_CLASSIFIERS + 3 {
        store.put_version(&version(number)).await.unwrap();
        store.put_version(&version(number)).await.unwrap();
        let classifier = hash_of(&number.to_le_bytes());
        assert!(
            !store.name_classifier(&version(number).id, "model", &classifier).await.unwrap(),
            "its content is not stored yet"
        );
        store.put_classifier(&classifier, &number.to_le_bytes()).await.unwrap();
        assert!(store.name_classifier(&version(number).id, "model", &classifier).await.unwrap());
    }
    let newest = KEPT_CLASSIFIERS + 3;
    assert_eq!(store.version(&version(2).id).await.unwrap(), Some(version(2)));
    assert_eq!(store.version("nothing").await.unwrap(), None);
    let page = store.versions(2, None).await.unwrap();
    assert_eq!(page, [version(newest), version(newest - 1)]);
    assert_eq!(store.versions(1, Some(&page[1].id)).await.unwrap(), [version(newest - 2)]);
    assert_eq!(store.versions_like(&page[0].id[..16]).await.unwrap(), std::slice::from_ref(&page[0].id));
    assert_eq!(store.versions_like("").await.unwrap().len(), 2);
    assert!(store.versions_like("%").await.unwrap().is_empty());
    let kept = store.classifier(&version(newest).id, "model").await.unwrap().unwrap();
    assert_eq!(kept, (hash_of(&newest.to_le_bytes()), newest.to_le_bytes().to_vec()));
    assert!(store.name_classifier(&version(newest).id, "model", &hash_of(&(newest - 1).to_le_bytes())).await.unwrap());
    assert_eq!(store.classifier(&version(newest).id, "model").await.unwrap(), Some(kept), "the first classifier stays");
    assert_eq!(store.classifier(&version(newest).id, "another model").await.unwrap(), None);
    assert_eq!(store.classifier(&version(1).id, "model").await.unwrap(), None, "only the newest are kept");
    let gone = store.name_classifier(&version(newest).id, "other", &hash_of(&1i64.to_le_bytes())).await.unwrap();
    assert!(!gone, "the content of old classifiers is removed too");
}

async fn activations(stores: &Stores) {
    let store = &stores.catalog;
    assert_eq!(store.activation().await.unwrap(), None);
    let (first, entry) = activation(1, &version(1).id, None);
    assert!(store.activate(&first, &entry).await.unwrap());
    assert!(!store.activate(&first, &entry).await.unwrap(), "its generation is taken");
    let (late, entry) = activation(3, &version(1).id, None);
    assert!(!store.activate(&late, &entry).await.unwrap(), "no gaps");
    let canary = Canary { version: version(2).id, percent: 10 };
    let (second, entry) = activation(2, &version(1).id, Some(canary));
    // Of two concurrent activations, exactly one succeeds.
    let (one, two) = futures::join!(store.activate(&second, &entry), store.activate(&second, &entry));
    assert_ne!(one.unwrap(), two.unwrap());
    assert_eq!(store.activation().await.unwrap(), Some(second.clone()));
    assert_eq!(store.activations(9).await.unwrap(), [second, first]);
    let log = store.audit_log(9, None).await.unwrap();
    let mine: Vec<_> = log.iter().filter(|line| line.action == "catalogue_activated").collect();
    assert_eq!(mine.iter().map(|line| line.at).collect::<Vec<_>>(), [2, 1]);
    assert_eq!(store.audit_log(1, Some(mine[0].id)).await.unwrap()[0], *mine[1]);
    assert_eq!(mine[0].detail, json!({ "generation": 2 }));
}

async fn servers(stores: &Stores) {
    let store = &stores.catalog;
    let record = |id: &str, generation: i64| ServerRecord {
        id: id.to_owned(),
        name: format!("{id}:8000"),
        seen_at: 0,
        generation,
        version: version(1).id,
        canary: None,
        problem: Some("не собирается".to_owned()),
        counts: json!({ "a": { "matched": 1 } }),
    };
    for server in [record("one", 2), record("two", 1), record("two", 2)] {
        store.announce(&server).await.unwrap();
    }
    const LONG: i64 = 600_000;
    let alive = async |within: i64| {
        let servers = store.servers(within).await.unwrap();
        // The store sets the time; assume that its clock is not off by years.
        assert!(servers.iter().all(|server| server.seen_at > 1_700_000_000_000));
        servers.into_iter().map(|server| ServerRecord { seen_at: 0, ..server }).collect::<Vec<_>>()
    };
    assert_eq!(alive(LONG).await, [record("one", 2), record("two", 2)]);
    assert_eq!(alive(-LONG).await, [], "no server reported in the future");
    store.withdraw("one").await.unwrap();
    assert_eq!(alive(LONG).await, [record("two", 2)]);
}

async fn admins(stores: &Stores, ann: UserId) {
    let entry = |action| AuditEntry { at: 1, actor: None, action, subject: None, detail: json!({}) };
    assert!(!stores.users.is_admin(ann).await.unwrap());
    assert!(stores.users.set_admin(ann, true, &entry("admin_granted")).await.unwrap());
    assert!(stores.users.is_admin(ann).await.unwrap());
    assert!(stores.users.set_admin(ann, false, &entry("admin_revoked")).await.unwrap());
    assert!(!stores.users.is_admin(ann).await.unwrap());
    for nobody in [UserId(1), UserId(999_999)] {
        assert!(!stores.users.set_admin(nobody, true, &entry("admin_granted")).await.unwrap(), "{nobody:?}");
        assert!(!stores.users.is_admin(nobody).await.unwrap());
    }
    assert_eq!(stores.catalog.audit_log(1, None).await.unwrap()[0].action, "admin_revoked");
}
