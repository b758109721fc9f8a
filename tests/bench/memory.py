"""Resident memory of the idle server and of an idle agent; see README.md."""

import time

from deployment import Deployment, median, resident_kib

with Deployment() as deployment:
    deployment.call("SetInstanceRecordConfig", "InstanceId=*", "Enabled=true")
    agent, _ = deployment.agent("i-bench1")
    server_kib, agent_kib = [], []
    for _ in range(5):
        time.sleep(1)  # five readings a second apart; nothing is waited for
        server_kib.append(resident_kib(deployment.process.pid))
        agent_kib.append(resident_kib(agent.pid))
    print("memory: resident, idle, medians of five readings")
    print(f"  hansard serve      {median(server_kib) / 1024:7.1f} MiB")
    print(f"  hansard-agent run  {median(agent_kib) / 1024:7.1f} MiB")
