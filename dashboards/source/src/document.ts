// What a dashboard's file may hold, made of the SDK's types. The SDK leaves targets
// and options of panels open; here each kind of panel that is in use has its own.
import type * as dashboard from '@grafana/grafana-foundation-sdk/dashboard';
import type * as heatmap from '@grafana/grafana-foundation-sdk/heatmap';
import type * as prometheus from '@grafana/grafana-foundation-sdk/prometheus';
import type * as stat from '@grafana/grafana-foundation-sdk/stat';
import type * as table from '@grafana/grafana-foundation-sdk/table';
import type * as timeseries from '@grafana/grafana-foundation-sdk/timeseries';

type Target = Omit<prometheus.Dataquery, '_implementsDataqueryVariant'>;

type PanelOf<Kind, Options, Custom> = Omit<dashboard.Panel, 'type' | 'targets' | 'options' | 'fieldConfig'> & {
  type: Kind;
  targets: Target[];
  options: Options;
  fieldConfig: {
    defaults: Omit<dashboard.FieldConfig, 'custom'> & { custom?: Custom };
    overrides: dashboard.FieldConfigSource['overrides'];
  };
};

/**
 * Whatever has a place in the grid.
 * @discriminator type
 */
export type Panel =
  | PanelOf<'timeseries', timeseries.Options, timeseries.FieldConfig>
  | PanelOf<'stat', stat.Options, undefined>
  | PanelOf<'table', table.Options, table.FieldConfig>
  | PanelOf<'heatmap', heatmap.Options, heatmap.FieldConfig>
  | Row;

/** A title that spans the grid; what belongs to it follows. */
type Row = Omit<dashboard.RowPanel, 'panels'> & { panels: [] };

/** A dashboard's file. */
export type Document = Omit<dashboard.Dashboard, 'panels' | 'annotations' | 'snapshot'> & {
  panels: Panel[];
  annotations: { list: (Omit<dashboard.AnnotationQuery, 'target'> & { target: Target })[] };
};
