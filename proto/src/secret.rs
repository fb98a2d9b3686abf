//! Passwords in messages: never printed, and wiped where they are dropped. What a transport makes of one on its way, its
//! buffers and those of TLS, is not covered.

use std::fmt;

use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::v1;

/// A password on its way.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps a password.
    #[must_use]
    pub fn new(password: &str) -> Self {
        Self(password.to_owned())
    }

    /// A copy of the password, to be shown or hashed.
    #[must_use]
    pub fn reveal(&self) -> Zeroizing<String> {
        Zeroizing::new(self.0.clone())
    }

    /// The password itself.
    #[must_use]
    pub fn take(mut self) -> Zeroizing<String> {
        Zeroizing::new(std::mem::take(&mut self.0))
    }
}

impl From<String> for Secret {
    fn from(password: String) -> Self {
        Self(password)
    }
}

impl From<Zeroizing<String>> for Secret {
    fn from(mut password: Zeroizing<String>) -> Self {
        Self(std::mem::take(&mut password))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// Wipes these fields when the message is dropped.
macro_rules! wiped {
    ($($message:ty: $($field:tt),+;)+) => {$(
        impl Drop for $message {
            fn drop(&mut self) {
                $(self.$field.zeroize();)+
            }
        }

        impl ZeroizeOnDrop for $message {}
    )+};
}

wiped! {
    Secret: 0;
    v1::LoginRequest: password;
    v1::PasswdRequest: old_password, new_password;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rest::session::{LoginRequest, PasswordRequest};

    const fn is_wiped<T: ZeroizeOnDrop>() {}

    #[test]
    fn what_carries_a_password_is_wiped() {
        is_wiped::<v1::LoginRequest>();
        is_wiped::<v1::PasswdRequest>();
        // The others have it in such a field.
        is_wiped::<Secret>();
        let _: fn(&LoginRequest) -> &Secret = |request| &request.password;
        let _: fn(&PasswordRequest) -> [&Secret; 2] = |request| [&request.old, &request.new];
    }

    #[test]
    fn a_secret_is_its_text_for_json_alone() {
        let secret: Secret = serde_json::from_str("\"plum\"").unwrap();
        assert_eq!(serde_json::to_string(&secret).unwrap(), "\"plum\"");
        assert_eq!(format!("{secret:?}"), "Secret");
        assert_eq!(secret.take().as_str(), "plum");
    }
}
