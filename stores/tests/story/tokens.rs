//! Refresh tokens: how they are spent, and which guests nobody can come back as.

use std::time::Duration;

use banter_stores::{Provider, RefreshToken, Spending, Stores, UserId};

pub async fn spent(stores: &Stores, user: UserId) {
    const LONG: Duration = Duration::from_secs(600);
    let tokens = &stores.tokens;
    let token = |n: u8, family: &str, life| RefreshToken { hash: [n; 32], family: family.to_owned(), user, life };
    let add =
        async |n, family: &str, life| assert!(tokens.add_refresh_token(&token(n, family, life), None).await.unwrap());
    let find = async |n: u8| tokens.find_refresh_token(&[n; 32]).await.unwrap();
    let spend = async |old: u8, new: u8, family: &str, leeway| {
        tokens.spend_refresh_token(&[old; 32], &token(new, family, LONG), leeway).await.unwrap()
    };
    add(1, "f", LONG).await;
    add(6, "ended", Duration::ZERO).await;
    assert_eq!((find(1).await, find(6).await), (Some(user), None), "the second is expired");
    for (family, expected) in [("f", Some(user)), ("ended", None), ("another", None)] {
        assert_eq!(tokens.find_family(family).await.unwrap(), expected, "{family}");
    }
    assert_eq!(spend(9, 2, "another", LONG).await, Spending::Unknown, "there is no such family");
    assert_eq!(spend(6, 7, "ended", LONG).await, Spending::Unknown, "expired");
    assert_eq!(spend(1, 2, "f", LONG).await, Spending::Spent);
    assert_eq!((find(1).await, find(2).await), (None, Some(user)));
    assert_eq!(spend(1, 5, "f", LONG).await, Spending::Spent, "within the leeway");
    assert_eq!(find(5).await, Some(user));
    assert_eq!(spend(1, 3, "f", Duration::ZERO).await, Spending::Reused, "after the leeway");
    for n in 1..=5 {
        assert_eq!(find(n).await, None, "the family is spent");
    }
    assert_eq!(tokens.find_family("f").await.unwrap(), None);
    assert_eq!(spend(2, 4, "f", LONG).await, Spending::Unknown, "a revoked family has no leeway");

    add(20, "g", LONG).await;
    assert_eq!(spend(20, 21, "g", Duration::ZERO).await, Spending::Spent);
    assert_eq!(spend(21, 22, "g", Duration::ZERO).await, Spending::Spent, "and the first token is removed");
    assert_eq!(spend(20, 23, "g", LONG).await, Spending::Reused, "what is removed was spent long ago");
    assert_eq!(find(22).await, None);
    add(100, "crowd", LONG).await;
    for new in 101..130 {
        assert_eq!(spend(100, new, "crowd", LONG).await, Spending::Spent, "within the leeway");
    }
    let mut good = 0;
    for n in 101..130 {
        good += usize::from(find(n).await.is_some());
    }
    assert_eq!(good, 8, "few siblings are good at the same time");
    add(30, "left", LONG).await;
    tokens.spend_family("left").await.unwrap();
    assert_eq!(find(30).await, None);
}

/// A guest goes when nobody can come back as them.
pub async fn guests(stores: &Stores) {
    let guest = async |name: &str, created_at: i64| {
        let made = stores.users.create_user(Provider::Guest, name, None, created_at).await;
        made.unwrap().unwrap()
    };
    let now = jiff::Timestamp::now().as_millisecond();
    let (new, staying, left) = (guest("new", now).await, guest("staying", 1).await, guest("left", 1).await);
    for (user, n) in [(staying, 40), (left, 41)] {
        let life = Duration::from_secs(600);
        let token = RefreshToken { hash: [n; 32], family: format!("guest{n}"), user, life };
        assert!(stores.tokens.add_refresh_token(&token, None).await.unwrap());
    }
    stores.tokens.spend_family("guest41").await.unwrap();
    let expired = stores.users.expired_guests(10).await.unwrap();
    assert_eq!(expired, [left], "not {new:?}, who may be logging in");
}
