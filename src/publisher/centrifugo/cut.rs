//! Closes connections and ends subscriptions.

use serde_json::{Value, json};

use super::Centrifugo;
use super::call::CallError;
use crate::publisher::BatchError;

impl Centrifugo {
    /// Closes a user's connection with a close code and a reason.
    ///
    /// # Errors
    /// When Centrifugo does not answer as expected.
    pub async fn disconnect(&self, user: &str, client: &str, code: u16, reason: &str) -> Result<(), CallError> {
        let parameters = json!({ "user": user, "disconnect": { "code": code, "reason": reason } });
        self.cut("disconnect", parameters, Some(client)).await
    }

    /// Closes all connections of a user except those with the ids in `kept`, with a close code and a reason.
    ///
    /// # Errors
    /// When Centrifugo does not answer as expected.
    pub async fn disconnect_others(&self, user: &str, kept: &[&str], code: u16, reason: &str) -> Result<(), CallError> {
        let parameters = json!({ "user": user, "whitelist": kept, "disconnect": { "code": code, "reason": reason } });
        self.cut("disconnect", parameters, None).await
    }

    /// Ends the subscription to `channel` of a user's connection, or of all of the user's without `client`.
    ///
    /// # Errors
    /// When Centrifugo does not answer as expected.
    pub async fn unsubscribe(&self, user: &str, client: Option<&str>, channel: &str) -> Result<(), CallError> {
        self.cut("unsubscribe", json!({ "user": user, "channel": channel }), client)
            .await
    }

    async fn cut(&self, method: &str, mut parameters: Value, client: Option<&str>) -> Result<(), CallError> {
        if let Some(client) = client {
            parameters["client"] = client.into();
        }
        let (answer, _) = self.call(method, &parameters).await?;
        answer.error.map_or(Ok(()), |rejection| {
            let reason = rejection.to_string();
            Err(BatchError::Unavailable { reason, hint: None }.into())
        })
    }
}
