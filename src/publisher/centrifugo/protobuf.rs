//! The messages of Centrifugo's gRPC API that a batch of publications needs. The field numbers are those of `api.proto`.

use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

use crate::mapping::Publication;
use crate::publisher::{Rejection, Reply};

/// The keys of length-delimited fields: the field's number, and wire type 2.
mod field {
    pub(super) const BATCH_COMMANDS: u8 = 1 << 3 | 2;
    pub(super) const COMMAND_PUBLISH: u8 = 4 << 3 | 2;
    pub(super) const PUBLISH_CHANNEL: u8 = 1 << 3 | 2;
    pub(super) const PUBLISH_DATA: u8 = 2 << 3 | 2;
    pub(super) const PUBLISH_IDEMPOTENCY_KEY: u8 = 6 << 3 | 2;
}

/// Encodes a `BatchRequest` with one command per publication; a batch runs in order unless it says otherwise. It is written directly,
/// since message types would copy each publication before it is encoded.
pub(super) fn batch(batch: &[&Publication]) -> Bytes {
    let size = batch
        .iter()
        .map(|publication| publication.event.len() + publication.channel.len() + 80)
        .sum();
    let mut body = BytesMut::with_capacity(size);
    let mut key = Vec::new();
    for publication in batch {
        key.clear();
        publication.write_idempotency_key(&mut key);
        let publish =
            size_of_field(publication.channel.len()) + size_of_field(publication.event.len()) + size_of_field(key.len());
        begin(&mut body, field::BATCH_COMMANDS, size_of_field(publish));
        begin(&mut body, field::COMMAND_PUBLISH, publish);
        put(&mut body, field::PUBLISH_CHANNEL, publication.channel.as_bytes());
        put(&mut body, field::PUBLISH_DATA, &publication.event);
        put(&mut body, field::PUBLISH_IDEMPOTENCY_KEY, &key);
    }
    body.freeze()
}

/// The encoded size of a field of `length` bytes, with its key and length.
fn size_of_field(length: usize) -> usize {
    1 + prost::length_delimiter_len(length) + length
}

fn begin(body: &mut BytesMut, key: u8, length: usize) {
    body.put_u8(key);
    // Fails only without capacity, and this buffer grows.
    let _ = prost::encode_length_delimiter(length, body);
}

fn put(body: &mut BytesMut, key: u8, value: &[u8]) {
    begin(body, key, value.len());
    body.extend_from_slice(value);
}

/// `BatchResponse`.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct Replies {
    #[prost(message, repeated, tag = "1")]
    replies: Vec<CommandReply>,
}

/// `Reply`; its result is not needed.
#[derive(Clone, PartialEq, Eq, Message)]
struct CommandReply {
    #[prost(message, optional, tag = "2")]
    error: Option<Failure>,
}

/// `Error`.
#[derive(Clone, PartialEq, Eq, Message)]
struct Failure {
    #[prost(uint32, tag = "1")]
    code: u32,
    #[prost(string, tag = "2")]
    message: String,
}

impl Replies {
    /// One reply per command, in order.
    pub(super) fn into_replies(self) -> Vec<Reply> {
        let reply = |reply: CommandReply| match reply.error {
            None => Ok(()),
            Some(Failure { code, message }) => Err(Rejection { code, message }),
        };
        self.replies.into_iter().map(reply).collect()
    }
}

/// A codec that sends the output of [`batch`] and parses [`Replies`].
#[derive(Debug)]
pub(super) struct Batch;

impl Codec for Batch {
    type Encode = Bytes;
    type Decode = Replies;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Batch {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, body: Bytes, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.reserve(body.len());
        to.put(body);
        Ok(())
    }
}

impl Decoder for Batch {
    type Item = Replies;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Replies>, Status> {
        Replies::decode(from)
            .map(Some)
            .map_err(|error| Status::internal(error.to_string()))
    }
}
