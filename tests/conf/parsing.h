// Configurations from text, and what is said of bad ones: helpers of this directory's tests.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "conf/config_loader.h"

namespace crossfade {

inline constexpr char kSamplePath[] = "conf/crossfade.toml";  // tests run in the root of the repository

inline constexpr char kBackends[] =
    "[backends.old]\n"
    "url = \"redis://a:1\"\n"
    "[backends.new]\n"
    "url = \"redis://b:2\"\n";  // four lines: what follows begins at line 5

inline absl::StatusOr<Config> Parse(const std::string& text) {
  return ParseConfig(text, "c.toml", {});
}

inline Config MustParse(const std::string& text) {
  absl::StatusOr<Config> config = Parse(text);
  EXPECT_TRUE(config.ok()) << config.status();
  return config.value_or(Config{});
}

inline std::string ErrorOf(const absl::StatusOr<Config>& config) {
  EXPECT_EQ(config.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(config.status().message());
}

// The errors of `text` under good backends.
inline std::string ErrorWith(const std::string& text) {
  return ErrorOf(Parse(kBackends + text));
}

}  // namespace crossfade
