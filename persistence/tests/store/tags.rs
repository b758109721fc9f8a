//! Tags of roles and policies.

use domain::AccountId;
use domain::actions::{ListTagResources, TagResources, UntagResources};
use domain::gate::{Granted, Resource};
use domain::identity::{
    EntityTags, IdentityRefused, NewPolicy, NewRole, RemovedTags, TagFilter, Taggable, TaggableKind, Tagged,
};
use domain::role::MaxSessionDuration;
use persistence::{MarkerRequest, PageRequest, StoreError, TagQuery};

use test_facts::{World, account, as_operator, at, event, on_both, other_account, owner};

use crate::policies::READ;

on_both!(
    tags_are_kept_from_the_beginning_and_changed_by_their_keys,
    all_of_a_batch_or_none_of_it_is_tagged,
    tags_go_with_what_they_belong_to,
    tags_are_listed_in_pages_and_by_filters,
    roles_and_policies_are_listed_by_their_tags,
    changes_of_the_same_tags_at_once_keep_to_the_limit,
    a_grant_for_one_thing_tags_no_other,
);

const TRUST: &str = r#"{"Version": "1", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"RAM": "acs:ram::1609982529000000:root"}}]}"#;

fn tags(pairs: &[(&str, &str)]) -> EntityTags {
    EntityTags::new(pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))).unwrap()
}

fn role(name: &str) -> Taggable {
    Taggable::Role(name.parse().unwrap())
}

fn policy(name: &str) -> Taggable {
    Taggable::Policy(name.parse().unwrap())
}

async fn make(world: &World, of: &AccountId, thing: &Taggable, tags: EntityTags) {
    let operator = as_operator(of);
    match thing {
        Taggable::Role(name) => {
            let new = NewRole {
                name: name.clone(),
                description: String::new(),
                trust_policy: TRUST.to_owned(),
                max_session_duration: MaxSessionDuration::DEFAULT,
            };
            let new = Tagged { thing: new, tags };
            world
                .store
                .create_tagged_role(&operator, new, at(1), event(of, "CreateRole"))
                .await
                .map(drop)
                .unwrap();
        }
        Taggable::Policy(name) => {
            let new = NewPolicy { name: name.clone(), description: String::new(), document: READ.to_owned() };
            let new = Tagged { thing: new, tags };
            let audit = event(of, "CreatePolicy");
            world.store.create_tagged_policy(&operator, new, at(1), audit).await.map(drop).unwrap();
        }
    }
}

async fn delete(world: &World, thing: &Taggable) {
    let (operator, audit) = (as_operator(&account()), event(&account(), "Delete"));
    match thing {
        Taggable::Role(name) => world.store.delete_role(&operator, name, audit).await.unwrap(),
        Taggable::Policy(name) => world.store.delete_policy(&operator, name, audit).await.unwrap(),
    }
}

fn granted_for<A: domain::actions::Action>(things: &[Taggable]) -> Granted<A> {
    owner(&account(), Resource::Identity(things.iter().map(Taggable::resource).collect()))
}

async fn set(world: &World, things: &[Taggable], tags: EntityTags) -> Result<(), StoreError> {
    let granted = granted_for::<TagResources>(things);
    world.store.set_tags(&granted, things.to_vec(), tags, event(&account(), "TagResources")).await
}

async fn remove(world: &World, things: &[Taggable], removed: RemovedTags) -> Result<(), StoreError> {
    let granted = granted_for::<UntagResources>(things);
    world.store.remove_tags(&granted, things.to_vec(), removed, event(&account(), "UntagResources")).await
}

fn query(kind: TaggableKind) -> TagQuery {
    let page = PageRequest::After { token: None, size: 100 };
    TagQuery { kind, of: None, filter: TagFilter::default(), page }
}

/// Name, key and value of every tag.
async fn listed(world: &World, query: &TagQuery) -> Vec<String> {
    let granted = match &query.of {
        Some(of) => granted_for::<ListTagResources>(of),
        None => owner(&account(), Resource::Identity(vec![query.kind.all()])),
    };
    let page = world.store.list_tags(&granted, query).await.unwrap();
    assert_eq!(page.next_token, None);
    page.tags.iter().map(|tag| format!("{} {}={}", tag.name, tag.key, tag.value)).collect()
}

async fn tags_are_kept_from_the_beginning_and_changed_by_their_keys(world: World) {
    for thing in [role("one"), policy("one")] {
        make(&world, &account(), &thing, tags(&[("team", "a"), ("Team", "ä ' \\ %"), ("empty", "")])).await;
        let all = query(thing.kind());
        // In each database's own order.
        let mut found = listed(&world, &all).await;
        found.sort();
        assert_eq!(found, ["one Team=ä ' \\ %", "one empty=", "one team=a"]);
        set(&world, std::slice::from_ref(&thing), tags(&[("team", "b"), ("new", "x")])).await.unwrap();
        let removed = RemovedTags::keys(vec!["Team".to_owned(), "none".to_owned()]).unwrap();
        remove(&world, std::slice::from_ref(&thing), removed).await.unwrap();
        assert_eq!(listed(&world, &all).await, ["one empty=", "one new=x", "one team=b"]);
        remove(&world, std::slice::from_ref(&thing), RemovedTags::All).await.unwrap();
        assert_eq!(listed(&world, &all).await, [""; 0]);
    }
    assert_eq!(world.count("audit_events", "action = 'TagResources'").await, 2);
    assert_eq!(world.count("audit_events", "action = 'UntagResources'").await, 4);
}

async fn all_of_a_batch_or_none_of_it_is_tagged(world: World) {
    let (one, two, absent) = (role("one"), role("two"), role("absent"));
    for thing in [&one, &two] {
        make(&world, &account(), thing, tags(&[("k", "1")])).await;
    }
    make(&world, &account(), &policy("absent"), EntityTags::default()).await;
    make(&world, &other_account(), &absent, EntityTags::default()).await;
    let batch = [one.clone(), absent, two.clone()];
    for refused in
        [set(&world, &batch, tags(&[("k", "2")])).await, remove(&world, &batch, RemovedTags::All).await]
    {
        assert!(
            matches!(&refused, Err(StoreError::Identity(IdentityRefused::NotExist { name, .. })) if name == "absent"),
            "{refused:?}"
        );
    }
    let nineteen = EntityTags::new((0..19).map(|number| (format!("n{number}"), String::new()))).unwrap();
    set(&world, std::slice::from_ref(&two), nineteen).await.unwrap();
    let full = set(&world, &[one.clone(), two.clone()], tags(&[("one-more", "")])).await;
    assert!(
        matches!(&full, Err(StoreError::Identity(IdentityRefused::LimitExceeded { code: "Tag", .. }))),
        "{full:?}"
    );
    let of_one = TagQuery { of: Some(vec![one.clone()]), ..query(TaggableKind::Role) };
    assert_eq!(listed(&world, &of_one).await, ["one k=1"]);
    assert_eq!(world.count("audit_events", "action = 'TagResources'").await, 1, "a refused call has no row");
    set(&world, &[two, one], tags(&[("k", "2")])).await.unwrap();
    assert_eq!(listed(&world, &of_one).await, ["one k=2"]);
}

async fn tags_go_with_what_they_belong_to(world: World) {
    for (thing, other) in [(role("gone"), role("kept")), (policy("gone"), policy("kept"))] {
        for made in [&thing, &other] {
            make(&world, &account(), made, tags(&[("k", "v")])).await;
        }
        make(&world, &other_account(), &thing, tags(&[("k", "v")])).await;
        delete(&world, &thing).await;
        assert_eq!(listed(&world, &query(thing.kind())).await, ["kept k=v"]);
        // Another one of its name begins without them.
        make(&world, &account(), &thing, EntityTags::default()).await;
        assert_eq!(listed(&world, &query(thing.kind())).await, ["kept k=v"]);
    }
    assert_eq!(world.count("identity_tags", "name = 'gone'").await, 2, "those of the other account");
}

async fn tags_are_listed_in_pages_and_by_filters(world: World) {
    for (name, pairs) in [
        ("a", &[("env", "prod"), ("team", "x")][..]),
        ("b", &[("env", "test"), ("team", "x"), ("z", "")]),
        ("c", &[]),
        ("d", &[("env", "prod")]),
    ] {
        make(&world, &account(), &policy(name), tags(pairs)).await;
    }
    make(&world, &account(), &role("a"), tags(&[("of", "a role")])).await;
    make(&world, &other_account(), &policy("a"), tags(&[("of", "another account")])).await;
    let all = ["a env=prod", "a team=x", "b env=test", "b team=x", "b z=", "d env=prod"];
    assert_eq!(listed(&world, &query(TaggableKind::Policy)).await, all);
    let granted = owner::<ListTagResources>(&account(), Resource::Identity(vec![TaggableKind::Policy.all()]));
    for size in 1..7 {
        let (mut found, mut token) = (Vec::new(), None);
        loop {
            let asked = TagQuery { page: PageRequest::After { token, size }, ..query(TaggableKind::Policy) };
            let page = world.store.list_tags(&granted, &asked).await.unwrap();
            assert!(page.tags.len() <= size as usize);
            found.extend(page.tags.iter().map(|tag| format!("{} {}={}", tag.name, tag.key, tag.value)));
            token = page.next_token;
            if token.is_none() {
                break;
            }
        }
        assert_eq!(found, all, "{size}");
    }
    // A page goes on although what it ended in is gone, and is refused for another question.
    let first = TagQuery { page: PageRequest::After { token: None, size: 3 }, ..query(TaggableKind::Policy) };
    let token = world.store.list_tags(&granted, &first).await.unwrap().next_token;
    delete(&world, &policy("b")).await;
    let next = TagQuery { page: PageRequest::After { token: token.clone(), size: 3 }, ..first.clone() };
    assert_eq!(listed(&world, &next).await, ["d env=prod"]);
    let filter = TagFilter::new(vec![("env".to_owned(), None)]).unwrap();
    let misled = TagQuery { filter, page: PageRequest::After { token, size: 3 }, ..first };
    let misled = world.store.list_tags(&granted, &misled).await;
    assert!(matches!(misled, Err(StoreError::InvalidPageToken)), "{misled:?}");

    let filtered = async |of: Option<&[&str]>, wanted: &[(&str, Option<&str>)]| {
        let wanted = wanted.iter().map(|(key, value)| ((*key).to_owned(), value.map(str::to_owned)));
        let query = TagQuery {
            of: of.map(|names| names.iter().map(|name| policy(name)).collect()),
            filter: TagFilter::new(wanted.collect()).unwrap(),
            ..query(TaggableKind::Policy)
        };
        listed(&world, &query).await
    };
    assert_eq!(filtered(None, &[("env", Some("prod"))]).await, ["a env=prod", "a team=x", "d env=prod"]);
    assert_eq!(filtered(None, &[("env", None), ("team", Some("x"))]).await, ["a env=prod", "a team=x"]);
    assert_eq!(filtered(None, &[("ENV", None)]).await, [""; 0], "keys differ by case");
    assert_eq!(filtered(Some(&["d", "c", "nobody"]), &[]).await, ["d env=prod"]);
    assert_eq!(filtered(Some(&["d"]), &[("team", None)]).await, [""; 0]);
}

async fn roles_and_policies_are_listed_by_their_tags(world: World) {
    for name in ["a", "b", "c"] {
        let team = if name == "b" { "y" } else { "x" };
        for thing in [role(name), policy(name)] {
            make(&world, &account(), &thing, tags(&[("team", team), ("name", name)])).await;
        }
    }
    make(&world, &account(), &role("untagged"), EntityTags::default()).await;
    let operator = as_operator(&account());
    let filter = TagFilter::new(vec![("team".to_owned(), Some("x".to_owned()))]).unwrap();
    for (filter, expected) in
        [(&filter, &["a", "c"][..]), (&TagFilter::default(), &["a", "b", "c", "untagged"])]
    {
        let mut found = Vec::new();
        let mut page = MarkerRequest { marker: None, max_items: 1 };
        loop {
            let part = world.store.list_tagged_roles(&operator, filter, &page).await.unwrap();
            for Tagged { thing, tags } in part.items {
                assert_eq!(tags.is_empty(), thing.name.as_str() == "untagged");
                found.push(thing.name.to_string());
            }
            page.marker = part.marker;
            if page.marker.is_none() {
                break;
            }
        }
        assert_eq!(found, expected);
    }
    let all = MarkerRequest { marker: None, max_items: 100 };
    let found = world.store.list_tagged_policies(&operator, None, &filter, &all).await.unwrap();
    let found: Vec<_> =
        found.items.iter().map(|tagged| (tagged.thing.policy.name.as_str(), &tagged.tags)).collect();
    let (of_a, of_c) = (tags(&[("team", "x"), ("name", "a")]), tags(&[("team", "x"), ("name", "c")]));
    assert_eq!(found, [("a", &of_a), ("c", &of_c)], "no policy of the system has tags");
    let first = MarkerRequest { marker: None, max_items: 1 };
    let marker = world.store.list_tagged_roles(&operator, &filter, &first).await.unwrap().marker;
    let misled = MarkerRequest { marker, max_items: 1 };
    let misled = world.store.list_tagged_roles(&operator, &TagFilter::default(), &misled).await;
    assert!(matches!(misled, Err(StoreError::InvalidMarker)), "{misled:?}");
}

async fn changes_of_the_same_tags_at_once_keep_to_the_limit(world: World) {
    let (one, two) = (role("one"), role("two"));
    for thing in [&one, &two] {
        make(&world, &account(), thing, EntityTags::default()).await;
    }
    // Eight calls of five tags each, which name the two in different orders: four fit.
    let mut calls = tokio::task::JoinSet::new();
    for call in 0..8 {
        let mut things = vec![one.clone(), two.clone()];
        if call % 2 == 1 {
            things.reverse();
        }
        let granted = granted_for::<TagResources>(&things);
        let tags = EntityTags::new((0..5).map(|tag| (format!("k{call}-{tag}"), String::new()))).unwrap();
        let store = world.store.clone();
        calls.spawn(async move {
            store.set_tags(&granted, things, tags, event(&account(), "TagResources")).await
        });
    }
    let results = calls.join_all().await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 4, "{results:?}");
    let refused = results.iter().filter(|result| result.is_err());
    for result in refused {
        assert!(
            matches!(result, Err(StoreError::Identity(IdentityRefused::LimitExceeded { .. }))),
            "{result:?}"
        );
    }
    for name in ["one", "two"] {
        assert_eq!(world.count("identity_tags", &format!("name = '{name}'")).await, 20);
    }
}

async fn a_grant_for_one_thing_tags_no_other(world: World) {
    for thing in [role("one"), role("two"), policy("one")] {
        make(&world, &account(), &thing, tags(&[("k", "v")])).await;
    }
    let granted = granted_for::<TagResources>(&[role("one")]);
    for things in [vec![role("two")], vec![role("one"), role("two")], vec![policy("one")]] {
        let audit = event(&account(), "TagResources");
        let refused = world.store.set_tags(&granted, things.clone(), tags(&[("k", "new")]), audit).await;
        assert!(matches!(refused, Err(StoreError::OutsideGrant { .. })), "{things:?} {refused:?}");
    }
    let granted = granted_for::<ListTagResources>(&[role("one")]);
    for of in [None, Some(vec![role("two")])] {
        let refused = world.store.list_tags(&granted, &TagQuery { of, ..query(TaggableKind::Role) }).await;
        assert!(matches!(refused, Err(StoreError::OutsideGrant { .. })), "{refused:?}");
    }
    assert_eq!(world.count("identity_tags", "tag_value = 'new'").await, 0);
}
