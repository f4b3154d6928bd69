/** What a room would tell people, kept for the test to read. */
import type { Message, MessageSender } from '../../src/identity/messages/messages.ts';

export interface RecordedMessages extends MessageSender {
  /** The oldest first. */
  readonly sent: Message[];
}

export function recordedMessages(): RecordedMessages {
  const sent: Message[] = [];
  return {
    sent,
    channels: new Set(['sms', 'email']),
    send: async (message) => {
      sent.push(message);
    },
  };
}
