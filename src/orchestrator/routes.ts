import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { ApiError } from "../api/errors.ts";
import { docsOf, type OPERATIONS } from "../api/operations.ts";
import { exposition } from "../api/prometheus.ts";
import { configureBody, nodeParams, planOfBody, read, registerBody, stopBody, testParams, triggerBody } from "../api/schemas.ts";
import { endedView, liveView, nodeViews, testState, type TestView } from "../api/views.ts";
import type { NodeReport, Report } from "../run/report-schema.ts";
import { OrchestratorError } from "./errors.ts";
import type { Orchestrator } from "./orchestrator.ts";
import type { Store } from "./store.ts";

type Handler = (request: FastifyRequest, reply: FastifyReply) => unknown;

/** Every operation of the HTTP API. The checks before the body are made already; each handler reads its body, then asks who leads. */
export function addRoutes(app: FastifyInstance, orchestrator: Orchestrator, store: Store | null): void {
  const state = orchestrator.state();
  const add = (method: "GET" | "POST", url: string, name: keyof typeof OPERATIONS, handler: Handler) =>
    app.route({ method, url, schema: docsOf(name), handler });

  function leading(): void {
    if (orchestrator.leads()) return;
    throw new OrchestratorError("not_leader", `another orchestrator leads: ${state.leadership.owner ?? "unknown"}`);
  }

  function viewOf(test_id: string): TestView | null {
    const run = state.runs.get(test_id);
    const report = !run || run.ended ? orchestrator.report(test_id) : null;
    if (report) return endedView(report);
    return run ? liveView(state, run) : null;
  }

  function reportOf(test_id: string): Report {
    const report = orchestrator.report(test_id);
    if (report) return report;
    throw state.runs.has(test_id) ? new ApiError("report_not_ready", `test ${test_id} has not ended: there is no report yet`) : unknownTest(test_id);
  }

  function nodeOf(test_id: string, node_id: string): NodeReport {
    const run = state.runs.get(test_id);
    const archived = !run || run.ended ? store?.node(test_id, node_id) : null;
    if (archived) return archived;
    const view = viewOf(test_id);
    if (!view) throw unknownTest(test_id);
    const node = view.nodes.find((one) => one.node_id === node_id);
    if (!node) throw new ApiError("unknown_node", `${node_id} takes no part in test ${test_id}`, { test_id, node_id });
    return node;
  }

  const nodes = () => nodeViews(state, orchestrator.moment());
  const current = () => (state.current === null ? null : viewOf(state.current));

  add("GET", "/ping", "ping", () => ({ pong: true, node_id: orchestrator.node_id, term: orchestrator.term(), leads: orchestrator.leads() }));

  add("GET", "/nodes", "nodes", () => {
    leading();
    return { nodes: nodes() };
  });

  add("POST", "/tests", "createTest", async (request, reply) => {
    const { plan, test_id } = planOfBody(request.body);
    leading();
    return reply.code(201).send(await orchestrator.createTest(plan, test_id));
  });

  add("GET", "/tests", "tests", () => {
    leading();
    return { tests: orchestrator.tests() };
  });

  add("POST", "/tests/:test_id/trigger", "triggerTest", async (request) => {
    const { test_id } = read(testParams, request.params);
    leading();
    return orchestrator.trigger(test_id);
  });

  add("POST", "/tests/:test_id/stop", "stopTest", async (request) => {
    const { test_id } = read(testParams, request.params);
    const body = read(stopBody, request.body);
    leading();
    await orchestrator.stop(test_id, body?.reason ?? "operator");
    const run = state.runs.get(test_id);
    return { test_id, state: run ? testState(run) : "ended" };
  });

  add("GET", "/tests/:test_id", "test", (request) => {
    const { test_id } = read(testParams, request.params);
    leading();
    const view = viewOf(test_id);
    if (!view) throw unknownTest(test_id);
    return view;
  });

  add("GET", "/tests/:test_id/report", "report", (request) => {
    const { test_id } = read(testParams, request.params);
    leading();
    return reportOf(test_id);
  });

  add("GET", "/tests/:test_id/nodes/:node_id", "node", (request) => {
    const { test_id, node_id } = read(nodeParams, request.params);
    leading();
    return nodeOf(test_id, node_id);
  });

  add("GET", "/metrics", "metrics", (_request, reply) =>
    reply.type("text/plain; version=0.0.4; charset=utf-8").send(exposition(state, orchestrator.leads(), nodes(), current())),
  );

  // Where the page will be; whoever accepts JSON gets what it shows at first.
  for (const url of ["/dashboard", "/"]) {
    app.route({
      method: "GET",
      url,
      schema: url === "/" ? { hide: true } : docsOf("dashboard"),
      handler: () => {
        leading();
        return { nodes: nodes(), test: current() };
      },
    });
  }

  add("POST", "/register", "register", async (request, reply) => {
    const { node_id, node_ip } = read(registerBody, request.body);
    leading();
    return reply.code(201).send(await orchestrator.register(node_id, node_ip));
  });

  add("POST", "/configure", "configure", async (request, reply) => {
    const { test_id, start } = read(configureBody, request.body);
    const { plan } = planOfBody(request.body);
    leading();
    const created = await orchestrator.createTest(plan, test_id);
    return reply.code(201).send(start === false ? created : await orchestrator.trigger(test_id));
  });

  add("POST", "/trigger", "trigger", async (request) => {
    const { test_id } = read(triggerBody, request.body);
    leading();
    return orchestrator.trigger(test_id);
  });
}

function unknownTest(test_id: string): ApiError {
  return new ApiError("unknown_test", `there is no test ${test_id}`, { test_id });
}
