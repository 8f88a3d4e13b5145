// Whatever is wrong with a URL, and wherever it was put by mistake: no error repeats its password.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "conf/config_loader.h"

namespace crossfade {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(ConfigSecrets, NoErrorHoldsAPassword) {
  const char* urls[] = {
      "\"rediss://ann:hunter2@h\"",      "\"redis://ann:hunter2\"",
      "\"redis://ann:hunter2@\"",        "\"redis://ann:hunter2@:1\"",
      "\"redis://ann:hunter2@h:0\"",     "\"redis://ann:hunter2@h:65536\"",
      "\"redis://ann:hunter2@h/3\"",     "\"redis://ann:hunter2@h?x=1\"",
      "\"redis://ann:hunter2%@h\"",      "\"redis://ann:hunter2/x@h\"",
      "\"redis://ann:x#hunter2@h\"",     "\"redis://hunter2@h\"",
      "\"redis://ann:hunter2@[::1\"",    "\"redis://ann:hunter2@[x]:1\"",
      "\"redis://a:b:hunter2\"",         "\"ann:hunter2@h\"",
      "\"http://ann:hunter2@h\"",        "\"redis:ann:hunter2@h\"",
      "\"redis://ann:hunter2@h h\"",     "[\"redis://ann:hunter2@h\"]",
      "redis://ann:hunter2@h",           "\"redis://ann:hunter2@h",
      "\"redis://ann:\\qhunter2@h\"",    "hunter2",
      "'redis://ann:hunter2@h' hunter2", "{hunter2}",
      "\"redis://\\nhunter2:x\"",
  };
  for (const std::string url : urls) {
    for (const char* key : {"[backends.old]\nurl", "[listen]\naddress", "[admin]\naddress", "[routing]\nack",
                            "[limits]\nsecondary_queue", "[timeouts]\nread", "[backends]\nold", "[a]\nb"}) {
      if (url == "\"redis://hunter2@h\"" && std::string(key) == "[backends.old]\nurl") continue;
      absl::Status error = ParseConfig(std::string(key) + " = " + url + "\n", "c.toml", {}).status();
      EXPECT_FALSE(error.ok());
      EXPECT_THAT(error.ToString(), Not(HasSubstr("hunter2"))) << key << " = " << url;
    }
    ConfigOverrides flags;
    flags.old_url = url.substr(1, url.size() - 2);
    flags.new_url = "redis://b";
    absl::StatusOr<Config> config = LoadConfig("", flags);
    EXPECT_THAT(config.status().ToString(), Not(HasSubstr("hunter2"))) << url;
  }
}

}  // namespace
}  // namespace crossfade
