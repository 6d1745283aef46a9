/** The topics of one Onrush system. The first five are the field's; `control` is Onrush's own. */
export const TOPICS = ["register", "test_config", "trigger", "metrics", "heartbeat", "control"] as const;
export type Topic = (typeof TOPICS)[number];

/** What each topic is called on the broker. */
export type TopicNames = Record<Topic, string>;

/** Names under a prefix, single ones replaced. */
export function topicNames(prefix = "", renamed: Partial<TopicNames> = {}): TopicNames {
  const names = {} as TopicNames;
  for (const topic of TOPICS) names[topic] = renamed[topic] ?? prefix + topic;
  return names;
}

const HOUR_MS = 3_600_000;

/** How long the broker keeps a topic's records (-1: for ever). */
export const RETENTION_MS: Record<Topic, number> = {
  register: 7 * 24 * HOUR_MS,
  test_config: 7 * 24 * HOUR_MS,
  trigger: 7 * 24 * HOUR_MS,
  metrics: 7 * 24 * HOUR_MS,
  heartbeat: HOUR_MS,
  control: -1,
};
