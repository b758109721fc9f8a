//! Bodies that the program holds only once for all requests: the documents, Swagger UI, the replay page.

use std::borrow::Cow;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, MessageBody};
use actix_web::web::Bytes;

/// How much is handed to a connection at once.
const PIECE: usize = 16 * 1024;

/// A body that is handed out piece by piece. A connection copies what it is given; given the whole, each client that
/// reads nothing would hold a copy of it.
#[derive(Debug, Clone)]
pub(crate) struct SharedBytes(Bytes);

impl From<Bytes> for SharedBytes {
    fn from(bytes: Bytes) -> Self {
        Self(bytes)
    }
}

impl From<Cow<'static, [u8]>> for SharedBytes {
    fn from(bytes: Cow<'static, [u8]>) -> Self {
        Self(match bytes {
            Cow::Borrowed(bytes) => Bytes::from_static(bytes),
            Cow::Owned(bytes) => bytes.into(),
        })
    }
}

impl MessageBody for SharedBytes {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.0.len() as u64)
    }

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let length = self.0.len().min(PIECE);
        Poll::Ready((length > 0).then(|| Ok(self.0.split_to(length))))
    }
}

#[cfg(test)]
mod tests {
    use actix_web::body::to_bytes;
    use futures_util::future::poll_fn;

    use super::*;

    #[tokio::test]
    async fn it_comes_piece_by_piece_and_whole() {
        let whole: Bytes = (0..40_000_u32).map(|number| number.to_le_bytes()[0]).collect();
        let mut body = SharedBytes::from(whole.clone());
        let first = poll_fn(|context| Pin::new(&mut body).poll_next(context)).await.unwrap().unwrap();
        assert_eq!(first, whole[..PIECE]);
        assert_eq!(to_bytes(body).await.unwrap(), whole[PIECE..]);
        assert_eq!(to_bytes(SharedBytes::from(Cow::Borrowed(&[][..]))).await.unwrap(), "");
    }
}
