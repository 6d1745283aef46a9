/** Where an orchestrator says what happens. `code` is stable, `message` is for the operator; neither ever holds a secret. */
export interface Log {
  info(code: string, fields: Record<string, unknown>, message: string): void;
  warn(code: string, fields: Record<string, unknown>, message: string): void;
  error(code: string, fields: Record<string, unknown>, message: string): void;
}
