//! Google accounts: who they belong to.

use std::time::Duration;

use banter_stores::{GoogleAccount, Profile, Provider, RefreshToken, Stores, UserId};

fn account(subject: &str, email: Option<&str>) -> GoogleAccount {
    let profile = Profile { given_name: subject.to_owned(), ..Profile::default() };
    GoogleAccount { subject: subject.to_owned(), email: email.map(str::to_owned), profile }
}

async fn user_of(stores: &Stores, provider: Provider, subject: &str) -> Option<UserId> {
    stores.users.find_identity(provider, subject).await.unwrap().map(|identity| identity.user)
}

pub async fn story(stores: &Stores) {
    new_accounts(stores).await;
    taken_addresses(stores).await;
    proofs_that_end(stores).await;
    same_moment(stores).await;
}

async fn new_accounts(stores: &Stores) {
    let users = &stores.users;
    let ann = account("g1", Some("g1@mail.example"));
    let first = users.google_user(&ann, 1).await.unwrap();
    assert_eq!(users.google_user(&ann, 2).await.unwrap(), first, "the same account");
    assert_eq!(users.profile(first).await.unwrap().given_name, "g1");
    let renamed = GoogleAccount { profile: Profile { given_name: "Ann".to_owned(), ..Profile::default() }, ..ann };
    users.google_user(&renamed, 3).await.unwrap();
    assert_eq!(users.profile(first).await.unwrap().given_name, "Ann", "the newest profile counts");
    assert_eq!(user_of(stores, Provider::Password, "g1@mail.example").await, Some(first), "its address is taken");
    let another = users.google_user(&account("g2", Some("g1@mail.example")), 4).await.unwrap();
    assert_ne!(another, first, "a second account with the address is somebody else");
    let nameless = users.google_user(&account("g3", None), 5).await.unwrap();
    assert!(nameless != first && nameless != another);
    assert_eq!(users.profile(UserId(1)).await.unwrap(), Profile::default());
    let record = users.user_record(first).await.unwrap().unwrap();
    let shown: Vec<_> = record.identities.iter().map(|one| (one.provider.as_str(), one.verified)).collect();
    assert_eq!(shown, [("google", true), ("password", true)]);
    assert_eq!(record.identities[0].profile.as_ref().unwrap().given_name, "Ann");
}

async fn taken_addresses(stores: &Stores) {
    let users = &stores.users;
    let stranger = users.create_user(Provider::Password, "g4@mail.example", Some("phc"), 1).await.unwrap().unwrap();
    let token = |n: u8| RefreshToken {
        hash: [n; 32],
        family: format!("google{n}"),
        user: stranger,
        life: Duration::from_secs(600),
    };
    assert!(stores.tokens.add_refresh_token(&token(201), Some("g4@mail.example")).await.unwrap());
    let kept = users.google_user(&account("g5", Some("g4@mail.example")), 2).await.unwrap();
    assert_ne!(kept, stranger, "an address with a password that nobody has verified joins nothing");
    let families = users.end_unverified("g4@mail.example").await.unwrap();
    assert_eq!(families, ["google201"]);
    assert_eq!(stores.tokens.find_refresh_token(&[201; 32]).await.unwrap(), None, "spent");
    assert_eq!(users.find_identity(Provider::Password, "g4@mail.example").await.unwrap().unwrap().secret, None);
    let owner = users.google_user(&account("g6", Some("g4@mail.example")), 4).await.unwrap();
    assert_eq!(owner, stranger, "the owner of the address gets the account");
    assert!(users.end_unverified("g4@mail.example").await.unwrap().is_empty(), "it is verified now");

    let ann = users.create_user(Provider::Password, "g7@mail.example", Some("phc"), 1).await.unwrap().unwrap();
    assert!(users.verify_email("g7@mail.example").await.unwrap());
    assert!(!users.verify_email("nobody@mail.example").await.unwrap());
    assert!(users.end_unverified("g7@mail.example").await.unwrap().is_empty(), "a verified address keeps its password");
    assert_eq!(users.google_user(&account("g7", Some("g7@mail.example")), 3).await.unwrap(), ann);
    let secret = users.find_identity(Provider::Password, "g7@mail.example").await.unwrap().unwrap().secret;
    assert_eq!(secret.as_deref(), Some("phc"), "both ways in");
}

/// A log-in whose password ends while it is checked gets no tokens.
async fn proofs_that_end(stores: &Stores) {
    let users = &stores.users;
    let user = users.create_user(Provider::Password, "g8@mail.example", Some("phc"), 1).await.unwrap().unwrap();
    users.end_unverified("g8@mail.example").await.unwrap();
    let token = RefreshToken { hash: [210; 32], family: "google210".to_owned(), user, life: Duration::from_secs(600) };
    assert!(!stores.tokens.add_refresh_token(&token, Some("g8@mail.example")).await.unwrap());
    users.set_secret("g8@mail.example", "phc", "better").await.unwrap();
    let secret = users.find_identity(Provider::Password, "g8@mail.example").await.unwrap().unwrap().secret;
    assert_eq!(secret, None, "a rehash does not bring the password back");
    assert!(stores.tokens.add_refresh_token(&token, None).await.unwrap());
    stores.tokens.spend_family("google210").await.unwrap();
    assert_eq!(stores.tokens.find_refresh_token(&[210; 32]).await.unwrap(), None);
}

/// Two tabs, or two servers, sign the same account in for the first time.
async fn same_moment(stores: &Stores) {
    let account = account("g9", Some("g9@mail.example"));
    let made = (0..8).map(|_| stores.users.google_user(&account, 1));
    let made = futures::future::join_all(made).await;
    let first = *made[0].as_ref().unwrap();
    assert!(made.iter().all(|user| *user.as_ref().unwrap() == first), "{made:?}");
}
