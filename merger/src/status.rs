//! The state of the cluster, for operators.

use nautilus_proto::admin::v1::{GetShadowReportResponse, GetStatusResponse, PartitionStatus};
use nautilus_proto::common::v1::PartitionLabel;
use nautilus_proto::root::v1 as root;
use nautilus_service::Deadline;
use tonic::metadata::MetadataMap;

use crate::MergerError;
use crate::merger::Core;
use crate::root_client::Root;

impl Core {
    pub(crate) async fn shadow_report(
        &self,
        metadata: &MetadataMap,
    ) -> Result<GetShadowReportResponse, MergerError> {
        self.identify_operator(metadata).await?;
        Ok(GetShadowReportResponse { report: self.shadows.report() })
    }

    pub(crate) async fn status(
        &self,
        metadata: &MetadataMap,
        deadline: Deadline,
    ) -> Result<GetStatusResponse, MergerError> {
        self.identify_operator(metadata).await?;
        let message = root::GetStatusRequest {};
        let send = |mut root: Root, message| async move { root.get_status(message).await };
        let answer = self.roots.call(&self.clock, deadline, message, send).await?;
        let failed = answer.failures.into_iter().map(|failure| PartitionStatus {
            label: Some(PartitionLabel {
                partition: failure.partition,
                ..PartitionLabel::default()
            }),
            state: "FAILED".to_owned(),
            detail: failure.reason,
            ..PartitionStatus::default()
        });
        let mut partitions: Vec<_> = answer.partitions.into_iter().chain(failed).collect();
        partitions.sort_by_key(|status| status.label.as_ref().map(|label| label.partition));
        Ok(GetStatusResponse {
            cluster_id: self.config.log.cluster_id.to_vec(),
            log_generation: self.config.log.generation.0,
            version: self.config.version.clone(),
            partitions,
            groups: answer.groups,
        })
    }
}
