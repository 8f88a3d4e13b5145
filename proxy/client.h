// One application's connection: bytes in, requests to the lane, replies out in the order of the requests, however the
// answers come. Owned by Proxy; dies only in Proxy's sweep of finished clients, never inside its own callback.
//
// Bounded: a client with too many commands in flight, or too much output unread, is not read from until that has
// passed; one whose unfinished request, or unread messages, are too large is disconnected. So what it can make the
// proxy hold is its limits and one command of its own. What it does hold is in the account that all clients share.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "conf/config.h"
#include "protocol/input_buffer.h"
#include "protocol/resp_parser.h"
#include "protocol/ring.h"
#include "proxy/io.h"
#include "proxy/memory_account.h"
#include "proxy/slot.h"
#include "routing/command_counts.h"
#include "routing/plan.h"
#include "routing/session.h"

namespace crossfade {

// The limits of one client, as LimitsConfig has them.
enum class ClientLimit : uint8_t { kInput, kOutput, kPipeline, kTransaction, kSubscriberOutput, kMemory };
inline constexpr size_t kClientLimits = 6;

class Client : private Stream::Listener {
 public:
  class Owner {
   public:
    virtual ~Owner() = default;
    // A decided request that needs the stores. `request` is valid during the call.
    virtual void OnRequest(Client* client, const Plan& plan, RequestView request, ReplyTo to) = 0;
    // A command was queued: `reply` is its answer if the primary lets this user run it; otherwise the transaction is
    // spoilt.
    virtual void OnQueued(Client* client, const Plan& plan, RequestView request, ReplyTo to,
                          const std::string& reply) = 0;
    // May this client's next request be taken, or are requests held (a flip is draining, there is no room for more)?
    virtual bool Holding() const = 0;
    // Must this request wait for others (a key's gate, CLIENT PAUSE)? Then Resume is called once it may be tried again.
    virtual bool MustWait(Client* client, const CommandRow* row, RequestView request) = 0;
    // The session no longer watches, or no longer receives what it subscribed to (RESET).
    virtual void OnUnwatched(Client* client) = 0;
    virtual void OnUnsubscribed(Client* client) = 0;
    // It no longer tracks keys (RESET).
    virtual void OnUntracked(Client*) {}
    // Every request before the fence is answered.
    virtual void OnFencePassed(Client*) {}
    // It has reached one of its limits.
    virtual void OnLimit(Client*, ClientLimit) {}
    // The lines that INFO has beyond the server's.
    virtual std::string InfoSection() const = 0;
    // It has requests waiting that it could not take: call Resume soon, outside of this call.
    virtual void OnPaused(Client* client) = 0;
    // The connection is over. The client may be destroyed soon, outside of this call.
    virtual void OnGone(Client* client) = 0;
  };

  // All must outlive the client.
  Client(uint64_t id, std::unique_ptr<Stream> stream, const LimitsConfig* limits, const ServiceFacts* facts,
         Owner* owner);
  ~Client() override;

  // Where to say what is held. Must outlive the client. Call before anything else.
  void set_account(MemoryAccount* account) {
    input_share_.Join(account, MemoryAccount::Holder::kInput);
    output_share_.Join(account, MemoryAccount::Holder::kOutput);
  }

  // Where its commands are counted. Must outlive the client.
  void set_counts(CommandCounts* counts) { counts_ = counts; }

  uint64_t id() const { return session_.id(); }
  Session& session() { return session_; }
  const Session& session() const { return session_; }

  // The answer to request number `sequence`; ignored when that has been answered already.
  void Answer(uint64_t sequence, std::string_view reply);
  // What a store sends unasked, in the client's protocol. A client that doesn't read it is disconnected.
  void Push(std::string_view frame);
  // For what must not reach the client before the answers that are on their way now: requests are numbered, `oldest` is
  // the one that is answered next, and OnFencePassed comes as soon as that is `fence` or later.
  uint64_t oldest_request() const { return replies_.begin(); }
  uint64_t next_request() const { return replies_.end(); }
  static constexpr uint64_t kNoFence = UINT64_MAX;
  void set_fence(uint64_t fence) { fence_ = fence; }
  // Is an answer on its way that may hold what was read before now? And may it be long in coming?
  bool reads_in_flight() const { return !replies_.empty() && !(alone_ && !reads_); }
  bool blocked() const { return alone_ && blocks_; }
  // What has been answered in order still leaves; then the connection closes.
  void CloseAfterReplies();
  // One error, and the end.
  void Refuse(std::string_view error);
  // The end, at once.
  void Drop();
  // Goes on where it paused.
  void Resume();
  // Nothing more is read from it until Resume.
  void StopReading();
  // The proxy is about to end: what has been read is carried out and answered, nothing more is read, and the connection
  // closes. A blocking command ends at once.
  void Finish();

  bool closing() const { return closing_; }
  // Of requests that are not whole, or wait their turn; and of replies that are not taken.
  size_t input_bytes() const { return input_share_.bytes(); }
  size_t output_bytes() const { return output_share_.bytes(); }
  size_t in_flight() const { return replies_.size(); }
  // The secondary was asked for this answer: writes wait for it.
  void NoteShifted(uint64_t sequence) { shifted_until_ = sequence + 1; }
  // For CLIENT LIST. Times by the same clock as `now_ms`.
  ConnectionFigures Figures(int64_t now_ms) const;
  void set_created_ms(int64_t ms) { created_ms_ = last_request_ms_ = ms; }
  void set_last_request_ms(int64_t ms) { last_request_ms_ = ms; }
  int64_t closing_since_ms() const { return closing_since_ms_; }
  void set_closing_since_ms(int64_t ms) { closing_since_ms_ = ms; }

 private:
  struct PendingReply {
    enum class Finish : uint8_t { kNothing, kInfo, kExec };  // what is done to the reply before the client sees it
    bool answered = false;
    bool mute = false;  // CLIENT REPLY: it stays here
    Finish finish = Finish::kNothing;
    std::string bytes;  // while earlier ones are missing
  };

  void OnRead(std::string_view bytes) override;
  void OnClosed(const absl::Status& why) override;
  void OnDrained() override;

  static constexpr size_t kInFlightBytes = 4 << 20;      // of replies that may be on their way to one client
  static constexpr size_t kFirstReplyBytes = 256 << 10;  // how large they are taken to be at first
  // What a client may send ahead while a command of it blocks, and is read only to notice that it has gone.
  static constexpr size_t kReadAheadBytes = 1 << 20;

  bool MayTake() const;
  void NoteReplySize(size_t bytes);
  void Process(std::string_view fresh);
  void Handle(const CommandRow* row, RequestView request);
  bool MustFollowAnswers(const CommandRow* row) const;
  static bool MayRead(const Plan& plan);
  static bool WantsOurSection(RequestView request);
  void ActOn(const Plan& plan, RequestView request, ReplyTo to);
  std::string Finished(PendingReply::Finish finish, std::string_view reply);
  void Pause(size_t unread_bytes);
  void AskToResume();
  void NoteLimitReached();
  void NoteInput();
  void CheckInput();
  void NoteOutput();
  void CloseIfFinished();
  void FlushAnswered();
  void WakeIfPaused();

  std::unique_ptr<Stream> stream_;
  const LimitsConfig* limits_;
  Owner* owner_;
  Session session_;
  RequestParser parser_;
  InputBuffer input_;
  Ring<PendingReply> replies_{1};
  size_t reply_bytes_ = kFirstReplyBytes;  // how large replies have been lately, the large ones remembered longer
  std::string scratch_;                    // a local answer
  uint64_t shifted_until_ = 0;             // answers up to here may come from the secondary
  uint64_t fence_ = kNoFence;
  bool reads_ = false, blocks_ = false;  // the latest request
  bool paused_ = false;
  bool waking_ = false;  // OnPaused was called, Resume was not
  bool dropped_ = false;
  bool finishing_ = false;            // nothing more is read
  bool processing_ = false;           // Process is on the stack
  bool alone_ = false;                // the request in flight is answered before the next is looked at
  bool close_after_replies_ = false;  // QUIT: everything asked before is answered first
  bool closing_ = false;
  int64_t closing_since_ms_ = 0;
  int64_t created_ms_ = 0, last_request_ms_ = 0;
  size_t alone_bytes_ = 0;  // of the request that is carried out alone, wherever it waits
  size_t kept_bytes_ = 0;   // of answers that earlier ones hold up
  bool output_full_ = false;
  MemoryShare input_share_, output_share_;
  CommandCounts* counts_ = nullptr;
};

}  // namespace crossfade
