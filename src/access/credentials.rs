//! The credentials of a request.

/// The cookies, and the header that only `[django] whoami` uses. Neither is verified.
#[derive(Clone, Debug, Default)]
pub struct Credentials<'a> {
    /// The `Cookie` headers; of one that is not UTF-8, only the cookies that are.
    pub cookies: Vec<&'a str>,
    /// The `Authorization` header.
    pub authorization: Option<&'a str>,
}

/// The credentials that identify a client, kept as long as its connection lasts.
#[derive(Debug)]
pub struct Kept {
    /// The cookies, as one `Cookie` header.
    pub(super) cookies: Option<String>,
    pub(super) authorization: Option<String>,
}

impl Kept {
    /// Returns them as the credentials of a request.
    #[must_use]
    pub fn credentials(&self) -> Credentials<'_> {
        Credentials {
            cookies: self.cookies.as_deref().into_iter().collect(),
            authorization: self.authorization.as_deref(),
        }
    }
}
