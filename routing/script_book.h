// What the proxy knows of scripts: their bodies by SHA1, how the effect of each reaches the secondary, and which of
// them each store has been given (COMMANDS.md, C4). Pure bookkeeping: who sends SCRIPT LOAD or copies keys asks here
// first.
//
// Bodies are learnt from what the primary accepted, bounded in bytes: the least recently used go. A script whose body
// is not known is repeated as it came, until the secondary has said that it lacks it; then its keys are copied. SHA1s
// may come in any case, as servers take them. Not thread-safe; owned by Proxy.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "conf/config.h"
#include "protocol/request.h"

namespace crossfade {

// How the effect of one EVAL, EVALSHA or FCALL reaches the secondary.
struct ScriptPlan {
  bool copy = false;          // copy the keys that it names; otherwise run it there too
  bool unnamed_keys = false;  // it names no key: what it writes can be neither copied nor compared again
  bool reads_only = false;    // flags=no-writes: a read, nothing follows
  bool reply_varies = false;  // it may answer otherwise there, and be right: PUBLISH counts each store's own receivers
  std::string sha;            // of EVAL and EVALSHA, lower case; empty for FCALL
};

class ScriptBook {
 public:
  // `config` must outlive this object.
  ScriptBook(const ScriptsConfig* config, size_t max_bytes);

  ScriptBook(ScriptBook&&) = default;  // entries stay where they are; a copy's by_sha_ would point into the original
  ScriptBook& operator=(ScriptBook&&) = default;

  // The configuration is another one now. Must be called then: rules are looked up by name.
  void ConfigChanged(size_t max_bytes);

  // The primary accepted this body, in an EVAL or a SCRIPT LOAD. Returns its SHA1.
  std::string Learn(std::string_view body);
  // … whose SHA1 is known already (ScriptPlan::sha), in lower case.
  void Learn(std::string_view body, const std::string& sha);
  // The primary accepted SCRIPT FLUSH: neither store has any script after it.
  void Forget();
  // nullptr when it is not known. Valid until the next call that isn't const.
  const std::string* Body(std::string_view sha) const;

  // `command` is the row's name: "eval", "evalsha" or "fcall".
  // REQUIRES: the request has the arity of its command.
  ScriptPlan PlanFor(std::string_view command, RequestView request, bool secondary_has_functions);

  // Must SCRIPT LOAD go before an EVALSHA in the stream to this store? False when the body isn't known: there is
  // nothing to load. An EVAL doesn't count as loading: servers evict what only EVAL has brought (Redis since 7.4,
  // Valkey since 8).
  bool NeedsLoading(Side side, std::string_view sha) const;
  // What other side has and this one lacks: what must go there before it becomes the primary.
  std::vector<std::pair<std::string, std::string>> LoadedElsewhere(Side side) const;  // SHA1 and body
  // SCRIPT LOAD has taken its place in the stream to this store.
  void Loaded(Side side, std::string_view sha);
  // The store answered NOSCRIPT although the body is known: it lost it by itself.
  void Unloaded(Side side, std::string_view sha);
  // The store's process is another one, or its connection was lost with a SCRIPT LOAD under way: whatever was loaded
  // may be gone.
  void StoreRestarted(Side side);
  // The secondary answered NOSCRIPT and the body isn't known. Beyond kMaxMissing of them, every unknown one counts as
  // missing.
  void MissingUnknown(std::string_view sha);

  // Does the body begin with "#!… flags=…no-writes…"? Servers refuse its writes.
  static bool IsReadOnly(std::string_view body);
  // Does the body mention what each server does in its own way: its clock, random picks, the order of a scan, new ids?
  // A word in any place and case counts, a comment too: copying what could have been repeated is only dearer.
  static bool MentionsUnrepeatable(std::string_view body);

  // Does the body mention PUBLISH?
  static bool Publishes(std::string_view body);

  size_t size() const { return entries_.size(); }
  size_t bytes() const { return bytes_; }
  uint64_t forgotten() const { return forgotten_; }  // bodies for which there was no room

 private:
  static constexpr size_t kMaxMissing = 10'000;
  static constexpr size_t kEntryBytes = 256;  // what an entry costs beside its body, about

  struct Entry {
    std::string sha;
    std::string body;
    bool unrepeatable = false;
    bool reads_only = false;
    bool publishes = false;
    // The store's generation in which it was loaded; 0: in none.
    uint64_t loaded[2] = {0, 0};
  };
  using Entries = std::list<Entry>;  // the most recently used first

  const Entry* Find(std::string_view sha) const;
  Entry* Use(std::string_view sha);
  // What the operator says of this name; kAuto when nothing.
  ScriptMode RuleFor(std::string_view name) const;
  bool IsMissing(std::string_view sha) const;
  void MakeRoom();

  const ScriptsConfig* config_;
  size_t max_bytes_;
  size_t bytes_ = 0;
  uint64_t forgotten_ = 0;
  Entries entries_;
  absl::flat_hash_map<std::string, Entries::iterator> by_sha_;
  absl::flat_hash_map<std::string, ScriptMode> rules_;  // by name in lower case
  absl::flat_hash_set<std::string> missing_;            // the secondary lacks them, and so do we
  bool all_unknown_missing_ = false;
  uint64_t generation_[2] = {1, 1};  // raised when a store may have lost its scripts
};

}  // namespace crossfade
