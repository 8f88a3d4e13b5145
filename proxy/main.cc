// crossfade: the command. `crossfade run` is the proxy; every other subcommand asks a running one.
#include <sys/resource.h>

#include <csignal>
#include <cstdio>
#include <memory>

#include "fmt/format.h"
#include "proxy/cli.h"
#include "proxy/disk.h"
#include "proxy/proxy.h"
#include "proxy/uv_io.h"
#include "spdlog/sinks/stdout_sinks.h"
#include "spdlog/spdlog.h"

namespace crossfade {
namespace {

// A socket per client, and some: as many as the system lets us have.
void RaiseFileLimit(int64_t clients) {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  if (setrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur >= static_cast<rlim_t>(clients) + 400) return;
  spdlog::warn("event=few_files limit={} clients={} advice=\"raise ulimit -n, or lower limits.clients\"",
               static_cast<uint64_t>(limit.rlim_cur), clients);
}

// Exit status: 0 after an orderly end, 1 when the state could not be saved, 2 when it can't run as configured.
int RunProxy(const RunRequest& request) {
  const Config& config = request.config;
  spdlog::set_default_logger(spdlog::stderr_logger_st("crossfade"));
  spdlog::set_pattern("%Y-%m-%dT%H:%M:%S.%e level=%l %v");
  signal(SIGPIPE, SIG_IGN);
  RaiseFileLimit(config.limits.clients);
  signal(SIGXFSZ, SIG_IGN);  // a file that may not grow is an error like a full disk
  UvIo io;
  Disk disk;
  auto proxy = Proxy::Start(&io, &disk, config);
  if (!proxy.ok()) {
    fprintf(stderr, "crossfade: %s\n", std::string(proxy.status().message()).c_str());
    return 2;
  }
  (*proxy)->set_config_source(request.config_file, request.read_again);
  int exit = 0;
  const auto stop = [&] {
    if ((*proxy)->stopping()) _Exit(1);  // asked twice: at once. It is only a crash, and the next run treats it as one
    (*proxy)->Shutdown([&](bool saved) {
      exit = saved ? 0 : 1;
      io.Stop();
    });
  };
  io.OnSignal(SIGHUP, [&] {
    if ((*proxy)->Reload("SIGHUP").ok()) RaiseFileLimit((*proxy)->config().limits.clients);
  });
  io.OnSignal(SIGTERM, stop);
  io.OnSignal(SIGINT, stop);
  fprintf(stderr, "ready listen=%s admin=%s\n", (*proxy)->listen_address().ToString().c_str(),
          (*proxy)->admin_address().ToString().c_str());
  fflush(stderr);
  io.Run();
  proxy->reset();
  return exit;
}

}  // namespace
}  // namespace crossfade

int main(int argc, char** argv) {
  return crossfade::RunCli(argc, argv, crossfade::RunProxy);
}
