//! Senders of Rasa's REST channel: a sender's id is the user.

use std::sync::Arc;

use crate::{
    accounts::{AccountError, Accounts},
    conversations::{Answer, ConversationError, Conversations, Incoming},
};

/// Takes messages of senders.
pub struct Channel {
    accounts: Arc<Accounts>,
    conversations: Arc<Conversations>,
}

/// Why a sender has no answer.
#[derive(Debug)]
pub enum ChannelError {
    Account(AccountError),
    Conversation(ConversationError),
}

impl Channel {
    pub fn new(accounts: Arc<Accounts>, conversations: Arc<Conversations>) -> Self {
        Self { accounts, conversations }
    }

    /// Answers a message. An unknown sender becomes a new user. `client` names who asks, for rate limits.
    ///
    /// # Errors
    /// [`ChannelError`].
    pub async fn take_turn(
        &self,
        sender: &str,
        client: &str,
        text: String,
        idempotency: Option<(String, [u8; 32])>,
    ) -> Result<Answer, ChannelError> {
        let user = self.accounts.channel_user(sender, client).await.map_err(ChannelError::Account)?;
        self.accounts.admit_sender(user).await.map_err(ChannelError::Account)?;
        let incoming = Incoming { user, dialogue: None, text, idempotency };
        let answer = self.conversations.take_turn(incoming.clone()).await;
        if !matches!(answer, Err(ConversationError::UserGone)) {
            return answer.map_err(ChannelError::Conversation);
        }
        // The user was deleted since the sender's id was remembered: the sender is a new user now.
        let user = self.accounts.channel_user(sender, client).await.map_err(ChannelError::Account)?;
        self.conversations.take_turn(Incoming { user, ..incoming }).await.map_err(ChannelError::Conversation)
    }
}
