//! A service of connections that exists only while there are some. What `actix-http` needs for HTTP wakes each worker twice
//! a second for the date of replies, whether or not anybody is to get one; a server that nobody talks to should not wake.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_http::error::DispatchError;
use actix_service::{Service, ServiceFactory};

/// Makes its service when a connection comes, and gives it up some time after the last one has ended.
pub(crate) struct Lazily<M, S>(Rc<Shared<M, S>>);

struct Shared<M, S> {
    make: M,
    /// How long it is kept after the last connection: a caller may come again.
    keep: Duration,
    kept: RefCell<Option<Rc<S>>>,
    /// How many connections there have been.
    connections: Cell<u64>,
    /// Whether a task waits to give the service up.
    is_watched: Cell<bool>,
}

impl<M, S> Lazily<M, S> {
    /// There is no connection yet.
    pub(crate) fn made_by(make: M, keep: Duration) -> Self {
        Self(Rc::new(Shared {
            make,
            keep,
            kept: RefCell::default(),
            connections: Cell::new(0),
            is_watched: Cell::new(false),
        }))
    }
}

impl<M, S: 'static> Shared<M, S>
where
    M: 'static,
{
    async fn service<C, F>(&self) -> Result<Rc<S>, DispatchError>
    where
        M: Fn() -> F,
        F: ServiceFactory<C, Config = (), Service = S>,
    {
        self.connections.set(self.connections.get() + 1);
        if let Some(service) = &*self.kept.borrow() {
            return Ok(Rc::clone(service));
        }
        let made = (self.make)().new_service(()).await.map_err(|_| DispatchError::InternalError)?;
        // Another connection may have come meanwhile.
        Ok(Rc::clone(self.kept.borrow_mut().get_or_insert_with(|| Rc::new(made))))
    }

    /// Whether no connection uses the service, if it is there.
    fn is_idle(&self) -> bool {
        self.kept.borrow().as_ref().is_none_or(|service| Rc::strong_count(service) == 1)
    }

    /// A connection has ended. If it was the last one, the service is given up, unless another one comes in time.
    fn ended(self: Rc<Self>) {
        if !self.is_idle() || self.is_watched.replace(true) {
            return;
        }
        actix_rt::spawn(async move {
            let mut connections = self.connections.get();
            loop {
                tokio::time::sleep(self.keep).await;
                if !self.is_idle() {
                    break;
                }
                if self.connections.get() == connections {
                    self.kept.take();
                    break;
                }
                connections = self.connections.get();
            }
            self.is_watched.set(false);
        });
    }
}

impl<M, F, C> Service<C> for Lazily<M, F::Service>
where
    M: Fn() -> F + 'static,
    F: ServiceFactory<C, Config = (), Response = (), Error = DispatchError> + 'static,
    F::Service: 'static,
    C: 'static,
{
    type Response = ();
    type Error = DispatchError;
    type Future = Pin<Box<dyn Future<Output = Result<(), DispatchError>>>>;

    fn poll_ready(&self, _: &mut Context<'_>) -> Poll<Result<(), DispatchError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&self, connection: C) -> Self::Future {
        let shared = Rc::clone(&self.0);
        Box::pin(async move {
            let service = shared.service::<C, F>().await?;
            let served = match poll_fn(|context| service.poll_ready(context)).await {
                Ok(()) => service.call(connection).await,
                Err(error) => Err(error),
            };
            drop(service);
            shared.ended();
            served
        })
    }
}

#[cfg(test)]
mod tests {
    use actix_service::fn_service;

    use super::*;

    #[actix_web::test]
    async fn a_service_is_made_for_a_connection_kept_for_the_next_and_then_given_up() {
        let (made, keep) = (Rc::new(Cell::new(0)), Duration::from_millis(20));
        let counts = Rc::clone(&made);
        let make = move || {
            counts.set(counts.get() + 1);
            fn_service(|millis: u64| async move {
                tokio::time::sleep(Duration::from_millis(millis)).await;
                Ok::<(), DispatchError>(())
            })
        };
        let lazily = Lazily::made_by(make, keep);
        assert_eq!(made.get(), 0);
        // A connection that lasts keeps it, however long the others are over.
        let (one, other) = tokio::join!(lazily.call(1), lazily.call(10 * 20));
        one.unwrap();
        other.unwrap();
        assert_eq!(made.get(), 1);
        while lazily.0.kept.borrow().is_some() {
            tokio::time::sleep(keep).await;
        }
        lazily.call(1).await.unwrap();
        assert_eq!(made.get(), 2);
    }
}
