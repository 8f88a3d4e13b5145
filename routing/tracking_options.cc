#include "routing/tracking_options.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "fmt/format.h"
#include "protocol/reply.h"
#include "protocol/resp_writer.h"
#include "routing/command_table.h"

namespace crossfade {

namespace {

constexpr std::string_view kSyntaxError = "ERR syntax error";

bool Overlap(std::string_view a, std::string_view b) {
  return a.starts_with(b) || b.starts_with(a);
}

// A key must be announced once. (A server lets some overlaps pass after it has complained, and answers OK as well.)
std::string CheckPrefixes(const std::vector<std::string_view>& prefixes, const std::set<std::string>& existing) {
  for (size_t i = 0; i < prefixes.size(); ++i) {
    for (const std::string& other : existing) {
      if (!Overlap(prefixes[i], other)) continue;
      return fmt::format(
          "ERR Prefix '{}' overlaps with an existing prefix '{}'. Prefixes for a single client must not overlap.",
          UntilNul(prefixes[i]), UntilNul(other));
    }
    for (size_t j = i + 1; j < prefixes.size(); ++j) {
      if (!Overlap(prefixes[i], prefixes[j])) continue;
      return fmt::format(
          "ERR Prefix '{}' overlaps with another provided prefix '{}'. Prefixes for a single client must not overlap.",
          UntilNul(prefixes[i]), UntilNul(prefixes[j]));
    }
  }
  return {};
}

struct Asked {
  TrackingOptions options;
  std::vector<std::string_view> prefixes;
};

std::string ParseOptions(RequestView request, const std::function<bool(int64_t)>& exists, Asked* asked) {
  for (size_t i = 3; i < request.argc(); ++i) {
    const std::string_view word = request.arg(i);
    const bool more = i + 1 < request.argc();
    if (EqualsIgnoreCase(word, "REDIRECT") && more) {
      if (asked->options.redirect != 0) return "ERR A client can only redirect to a single other client";
      const auto id = ParseInt64(request.arg(++i));
      if (!id) return "ERR value is not an integer or out of range";
      if (*id <= 0 || !exists(*id)) return "ERR The client ID you want redirect to does not exist";
      asked->options.redirect = static_cast<uint64_t>(*id);
    } else if (EqualsIgnoreCase(word, "BCAST")) {
      asked->options.bcast = true;
    } else if (EqualsIgnoreCase(word, "OPTIN")) {
      asked->options.optin = true;
    } else if (EqualsIgnoreCase(word, "OPTOUT")) {
      asked->options.optout = true;
    } else if (EqualsIgnoreCase(word, "NOLOOP")) {
      asked->options.noloop = true;
    } else if (EqualsIgnoreCase(word, "PREFIX") && more) {
      asked->prefixes.push_back(request.arg(++i));
    } else {
      return std::string(kSyntaxError);
    }
  }
  return {};
}

// May what is set become what is asked for?
std::string CheckOn(const Asked& asked, const TrackingOptions& now) {
  const TrackingOptions& wanted = asked.options;
  if (!wanted.bcast && !asked.prefixes.empty()) return "ERR PREFIX option requires BCAST mode to be enabled";
  if (now.on && now.bcast != wanted.bcast) {
    return "ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then re-enabling it "
           "with a different mode.";
  }
  if (wanted.bcast && (wanted.optin || wanted.optout)) return "ERR OPTIN and OPTOUT are not compatible with BCAST";
  if (wanted.optin && wanted.optout) return "ERR You can't specify both OPTIN mode and OPTOUT mode";
  if ((wanted.optin && now.optout) || (wanted.optout && now.optin)) {
    return "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then re-enabling it "
           "with a different mode.";
  }
  return wanted.bcast ? CheckPrefixes(asked.prefixes, now.prefixes) : "";
}

}  // namespace

std::string ParseTracking(RequestView request, const std::function<bool(int64_t)>& exists, TrackingOptions* options) {
  Asked asked;
  if (std::string error = ParseOptions(request, exists, &asked); !error.empty()) return error;
  if (EqualsIgnoreCase(request.arg(2), "OFF")) {
    *options = {};
    return {};
  }
  if (!EqualsIgnoreCase(request.arg(2), "ON")) return std::string(kSyntaxError);
  if (std::string error = CheckOn(asked, *options); !error.empty()) return error;
  asked.options.on = true;
  asked.options.prefixes = std::move(options->prefixes);  // they add up
  asked.options.prefixes.insert(asked.prefixes.begin(), asked.prefixes.end());
  if (asked.options.bcast && asked.prefixes.empty()) asked.options.prefixes.insert("");
  *options = std::move(asked.options);
  return {};
}

std::string CheckCaching(std::string_view word, const TrackingOptions& options) {
  if (!options.on) {
    return "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode "
           "enabled";
  }
  if (EqualsIgnoreCase(word, "YES")) {
    return options.optin ? "" : "ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.";
  }
  if (EqualsIgnoreCase(word, "NO")) {
    return options.optout ? "" : "ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.";
  }
  return std::string(kSyntaxError);
}

void AppendTrackingInfo(const TrackingOptions& options, bool caching, int protocol, std::string* reply) {
  std::vector<std::string_view> flags{options.on ? "on" : "off"};
  if (options.bcast) flags.push_back("bcast");
  if (options.optin) flags.push_back("optin");
  if (options.optin && caching) flags.push_back("caching-yes");
  if (options.optout) flags.push_back("optout");
  if (options.optout && caching) flags.push_back("caching-no");
  if (options.noloop) flags.push_back("noloop");
  if (options.broken_redirect) flags.push_back("broken_redirect");
  AppendMapHeader(reply, 3, protocol);
  AppendBulk(reply, "flags");
  reply->append(fmt::format("{}{}\r\n", protocol == 3 ? '~' : '*', flags.size()));
  for (std::string_view flag : flags) AppendBulk(reply, flag);
  AppendBulk(reply, "redirect");
  AppendInteger(reply, options.on ? static_cast<int64_t>(options.redirect) : -1);
  AppendBulk(reply, "prefixes");
  AppendArrayHeader(reply, options.prefixes.size());
  for (const std::string& prefix : options.prefixes) AppendBulk(reply, prefix);
}

}  // namespace crossfade
