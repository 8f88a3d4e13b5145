#include "proxy/audit_watch.h"

#include <algorithm>
#include <utility>

#include "fmt/format.h"
#include "proxy/proxy.h"

namespace crossfade {

namespace {

constexpr char kTrust[] = "trust in the primary";
constexpr char kEverythingDirty[] = "everything dirty";

void AddBackend(const Proxy& proxy, Side side, std::vector<WatchedFact>* facts) {
  const Upstream& upstream = proxy.lane().link(side).upstream();
  if (!upstream.up() && upstream.last_error().empty()) return;  // not tried yet
  facts->push_back({SideName(side), upstream.up() ? "up" : "down", upstream.up() ? "" : upstream.last_error()});
}

WatchedFact VerifyFact(const VerifyResult& verify) {
  std::string reason = verify.why;
  if (verify.state == VerifyState::kDone) {
    reason = fmt::format("{} keys checked, {} differed, {} of them repaired, {} undecided", verify.keys_checked,
                         verify.differing(), verify.repaired, verify.all_undecided());
  }
  return {"verify", Name(verify.state), std::move(reason)};
}

// Worth an entry even where nothing is known of how it was before.
bool IsTrouble(const WatchedFact& fact) {
  const std::string_view what = fact.what;
  return fact.state == "down" || fact.state == "open" || (what == kTrust && fact.state == "no") ||
         (what == kEverythingDirty && fact.state == "yes");
}

}  // namespace

std::vector<WatchedFact> FactsOf(const Proxy& proxy) {
  const Migration& migration = proxy.migration();
  const Breaker& breaker = proxy.lane().breaker();
  std::vector<WatchedFact> facts;
  for (Side side : {Side::kOld, Side::kNew}) AddBackend(proxy, side, &facts);
  facts.push_back({kTrust, migration.distrust.empty() ? "yes" : "no", migration.distrust});
  facts.push_back({"synced", Name(migration.synced), migration.unsynced_why});
  facts.push_back({kEverythingDirty, proxy.dirty().everything() ? "yes" : "no", ""});
  // Half-open is on the way to either.
  if (breaker.state() != Breaker::State::kHalfOpen) {
    facts.push_back({"breaker", Breaker::Name(breaker.state()), breaker.reason()});
  }
  facts.push_back({"breaker for reads", breaker.reads_open() ? "open" : "closed", breaker.reads_reason()});
  if (proxy.backfill().record() && !proxy.backfill().active()) {
    facts.push_back({"backfill", Sweep::Name(proxy.backfill().record()->state), proxy.backfill().record()->why});
  } else {
    facts.push_back({"backfill", proxy.backfill().active() ? "active" : "none", ""});
  }
  facts.push_back(VerifyFact(proxy.verify().result()));
  return facts;
}

void AuditWatch::Look(const std::vector<WatchedFact>& facts, int64_t now_ms) {
  for (const WatchedFact& fact : facts) {
    const auto [at, fresh] = known_.try_emplace(fact.what);
    Known& known = at->second;
    if (fresh) {
      known = {.seen = fact.state, .noted = fact.state, .refilled_ms = now_ms};
      if (IsTrouble(fact)) audit_->Note({.who = "proxy", .what = fact.what, .to = fact.state, .reason = fact.reason});
      continue;
    }
    for (; known.left < kBurst && now_ms - known.refilled_ms >= kCalmMs; known.refilled_ms += kCalmMs) ++known.left;
    if (known.left == kBurst) known.refilled_ms = now_ms;
    if (fact.state != known.seen) ++known.unnoted;
    known.seen = fact.state;
    if (fact.state == known.noted || known.left == 0) continue;
    --known.left;
    std::string reason = fact.reason;
    const int between = std::exchange(known.unnoted, 0) - 1;
    if (between > 0) reason += fmt::format("{}{} changes in between are left out", reason.empty() ? "" : "; ", between);
    audit_->Note({.who = "proxy",
                  .what = fact.what,
                  .from = std::exchange(known.noted, fact.state),
                  .to = fact.state,
                  .reason = std::move(reason)});
  }
}

}  // namespace crossfade
