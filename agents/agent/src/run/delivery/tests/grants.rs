use super::super::*;

#[test]
fn a_grant_that_came_ahead_is_used_for_its_segment_and_while_it_is_young() {
    let came_at = Instant::now();
    let grant_for = |number, now| {
        let grant = Grant {
            method: "PUT".to_owned(),
            url: "/upload".to_owned(),
            headers: BTreeMap::new(),
            expire_time: "2026-01-02T03:04:05Z".to_owned(),
        };
        NextGrant { number: 7, grant, came_at }.for_segment(number, now)
    };
    let last_moment = came_at + USES_GRANT_WITHIN - Duration::from_millis(1);
    assert!(grant_for(7, came_at).is_some());
    assert!(grant_for(7, last_moment).is_some());
    assert!(
        grant_for(7, came_at + USES_GRANT_WITHIN).is_none(),
        "it may lapse while the segment is uploaded"
    );
    assert!(grant_for(8, came_at).is_none(), "it is for another segment");
}
