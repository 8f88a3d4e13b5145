// The command line with an API that answers what the test says.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <sstream>
#include <string>
#include <vector>

#include "proxy/cli.h"

namespace crossfade {

class CliTest : public testing::Test {
 protected:
  CliTest() {
    unsetenv("CROSSFADE_ADMIN");
    unsetenv("CROSSFADE_TOKEN");
  }

  // Runs `crossfade args…`; the API answers with `replies_`, in turn.
  int Run(const std::vector<std::string>& args) {
    out_.str("");
    err_.str("");
    calls_.clear();
    size_t next_reply = 0;
    CliWorld world;
    world.out = &out_;
    world.err = &err_;
    world.run_proxy = [this](const RunRequest& request) {
      ran_ = request.config;
      return run_exit_;
    };
    world.call_admin = [&](const Address& address, const std::string& method, const std::string& path,
                           const std::string& body, const std::string& token, int64_t) -> absl::StatusOr<AdminReply> {
      address_ = address.ToString();
      token_ = token;
      calls_.push_back(method + " " + path + (body.empty() ? "" : " " + body));
      if (next_reply == replies_.size()) return absl::UnavailableError("can't reach the proxy");
      return replies_[next_reply++];
    };
    std::vector<const char*> argv = {"crossfade"};
    for (const std::string& arg : args) argv.push_back(arg.c_str());
    return RunCli(static_cast<int>(argv.size()), argv.data(), world);
  }
  std::string out() const { return out_.str(); }
  std::string err() const { return err_.str(); }

  std::vector<AdminReply> replies_;
  std::vector<std::string> calls_;
  std::string address_, token_;
  Config ran_;
  int run_exit_ = 0;

 private:
  std::ostringstream out_, err_;
};

}  // namespace crossfade
