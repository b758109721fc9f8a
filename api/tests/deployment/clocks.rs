//! A replica whose clock is far from the database's.

use domain::clock::{Clock as _, SystemClock};
use test_facts::until_async;
use test_facts::{Backend, TestDatabase};
use test_server::Running;

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_whose_clock_is_far_from_the_databases_answers_nothing_on_postgresql() {
    a_replica_whose_clock_is_far_from_the_databases_answers_nothing(Backend::Postgres).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_whose_clock_is_far_from_the_databases_answers_nothing_on_mariadb() {
    a_replica_whose_clock_is_far_from_the_databases_answers_nothing(Backend::MariaDb).await;
}

/// The clock of tests stands still, far from the database's.
async fn a_replica_whose_clock_is_far_from_the_databases_answers_nothing(backend: Backend) {
    let database = TestDatabase::new(backend).await;
    let running =
        Running::reachable_with(Some(database.url.clone()), |settings| settings.compares_clocks = true).await;
    let status = async |running: &Running, path: &str| {
        let reply = running.http.get(running.url(path)).send().await.unwrap();
        (reply.status().as_u16(), reply.text().await.unwrap())
    };
    until_async("it is not ready", async || {
        let (code, text) = status(&running, "/readyz").await;
        (code == 503 && text.contains("clocks of this replica and of the database are too far apart"))
            .then_some(())
    })
    .await;
    assert_eq!(status(&running, "/healthz").await.0, 200);
    assert_eq!(running.call("ListAgents", &[]).await.refusal(), (503, "ServiceUnavailable"));
    let (code, text) = status(&running, "/agent/v1/configuration").await;
    assert!(code == 503 && text.contains("ServiceUnavailable"), "{text}");

    running.advance_seconds((SystemClock.now().as_millis() - running.clock.now().as_millis()) / 1_000);
    until_async("it is ready again", async || (status(&running, "/readyz").await.0 == 200).then_some(()))
        .await;
    running.call("ListAgents", &[]).await.ok();
}
