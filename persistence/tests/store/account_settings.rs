//! The settings of an account: its alias, which no two accounts share, and its password policy.

use domain::identity::{
    AccountAlias, AccountSettings, AccountSettingsChange, Entity, IdentityRefused, MinimumPasswordLength,
    PasswordPolicy,
};
use persistence::StoreError;
use test_facts::{World, account, as_operator, event, on_both, other_account};

on_both!(what_is_set_is_kept, of_two_accounts_one_has_an_alias);

fn alias(text: &str) -> AccountSettingsChange {
    AccountSettingsChange::Alias(Some(text.parse::<AccountAlias>().unwrap()))
}

async fn what_is_set_is_kept(world: World) {
    let operator = as_operator(&account());
    let change = |change| world.store.change_account_settings(&operator, change, event(&account(), "Set"));
    assert_eq!(world.store.account_settings(&operator).await.unwrap(), AccountSettings::default());
    let password_policy = PasswordPolicy {
        minimum_length: MinimumPasswordLength::new(12).unwrap(),
        require_numbers: true,
        ..PasswordPolicy::default()
    };
    change(AccountSettingsChange::PasswordPolicy(password_policy)).await.unwrap();
    let changed = change(alias("example-company")).await.unwrap();
    let expected = AccountSettings { alias: Some("example-company".parse().unwrap()), password_policy };
    assert_eq!(changed, expected);
    assert_eq!(world.replica().await.account_settings(&operator).await.unwrap(), expected);
    change(AccountSettingsChange::Alias(None)).await.unwrap();
    let kept = world.store.account_settings(&operator).await.unwrap();
    assert_eq!(kept, AccountSettings { alias: None, password_policy });
    let elsewhere = world.store.account_settings(&as_operator(&other_account())).await.unwrap();
    assert_eq!(elsewhere, AccountSettings::default());
    assert_eq!(world.count("audit_events", "action = 'Set'").await, 3);
}

async fn of_two_accounts_one_has_an_alias(world: World) {
    let (store, replica) = (&world.store, &world.replica().await);
    let (one, other) = (account(), other_account());
    let (ours, theirs) = (as_operator(&one), as_operator(&other));
    let set = |store: &persistence::Store, granted, account| {
        let store = store.clone();
        async move { store.change_account_settings(granted, alias("shared"), event(account, "Set")).await }
    };
    let (first, second) = tokio::join!(set(store, &ours, &one), set(replica, &theirs, &other));
    let refused = match (first, second) {
        (Ok(_), Err(refused)) | (Err(refused), Ok(_)) => refused,
        both => panic!("one has it: {both:?}"),
    };
    let expected = IdentityRefused::already_exists(Entity::AccountAlias, "shared");
    assert!(matches!(&refused, StoreError::Identity(refused) if *refused == expected), "{refused:?}");
    // The refused account keeps what it had, and each account may set its own alias again.
    assert_eq!(world.count("account_settings", "alias = 'shared'").await, 1);
    for (granted, account) in [(&ours, &one), (&theirs, &other)] {
        let own = alias(&format!("own-{account}"));
        store.change_account_settings(granted, own, event(account, "Set")).await.unwrap();
    }
    set(store, &ours, &one).await.unwrap();
    let taken = set(store, &theirs, &other).await;
    assert!(matches!(&taken, Err(StoreError::Identity(refused)) if *refused == expected), "{taken:?}");
}
