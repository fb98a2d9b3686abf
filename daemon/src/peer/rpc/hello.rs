//! `Hello`: agrees on a protocol version.

use p2p_proto::v1::{HelloRequest, HelloResponse};
use tonic::Status;

use super::VERSIONS;
use crate::peer::frames::codec::MAX_PIECE;

/// The highest version that both speak.
pub fn answer(request: &HelloRequest) -> Result<HelloResponse, Status> {
    let version = VERSIONS
        .into_iter()
        .filter(|version| request.versions.contains(version))
        .max()
        .ok_or_else(|| Status::failed_precondition(format!("this peer speaks versions {VERSIONS:?}")))?;
    Ok(HelloResponse {
        version,
        features: Vec::new(),
        max_piece_bytes: MAX_PIECE,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello(versions: &[u32]) -> Result<HelloResponse, Status> {
        answer(&HelloRequest {
            versions: versions.to_vec(),
            features: Vec::new(),
        })
    }

    #[test]
    fn agrees_on_the_highest_common_version() {
        assert_eq!(hello(&[1, 2, 3]).unwrap().version, 1);
        for none in [&[][..], &[0], &[2, 3]] {
            assert_eq!(hello(none).unwrap_err().code(), tonic::Code::FailedPrecondition);
        }
    }
}
