//! `orca system df -v`: each thing that takes space.

use serde_json::{Value, json};

use crate::api::control::{ContainerSpace, DiskUsage, ImageSpace, VolumeSpace};
use crate::cli::commands::image::familiar;
use crate::cli::format;
use crate::sys::clock;

/// Tables of all images, containers and volumes.
pub(super) fn verbose(usage: &DiskUsage) -> String {
    let images = format::table(
        &[
            "IMAGE",
            "IMAGE ID",
            "CREATED",
            "SIZE",
            "SHARED SIZE",
            "UNIQUE SIZE",
            "CONTAINERS",
            "UNUSED FOR",
        ],
        usage.image_list.iter().map(image),
    );
    let containers = format::table(
        &["CONTAINER ID", "NAME", "IMAGE", "SIZE", "STATUS"],
        usage.container_list.iter().map(container),
    );
    let volumes =
        format::table(&["VOLUME NAME", "CONTAINERS", "SIZE"], usage.volume_list.iter().map(volume));
    format!(
        "Images space usage:\n\n{images}\nContainers space usage:\n\n{containers}\n\
         Volumes space usage:\n\n{volumes}"
    )
}

fn image(image: &ImageSpace) -> Vec<String> {
    let created = image.created.map(|at| clock::wall().0.saturating_sub(at.0));
    vec![
        image.references.first().map_or("<none>", |name| familiar(name)).to_owned(),
        short(image.id.hex()),
        created.map_or("N/A".to_owned(), format::ago),
        format::decimal(image.size),
        format::decimal(image.shared),
        format::decimal(image.size.saturating_sub(image.shared)),
        image.containers.to_string(),
        format::human(image.unused_for),
    ]
}

fn container(container: &ContainerSpace) -> Vec<String> {
    vec![
        short(container.id.as_str()),
        container.name.clone(),
        familiar(&container.image).to_owned(),
        format::decimal(container.size),
        if container.running { "running" } else { "exited" }.to_owned(),
    ]
}

fn volume(volume: &VolumeSpace) -> Vec<String> {
    vec![volume.name.clone(), volume.containers.to_string(), format::decimal(volume.size)]
}

fn short(id: &str) -> String {
    id.chars().take(12).collect()
}

/// The same as one JSON object, sizes in bytes.
pub(super) fn verbose_json(usage: &DiskUsage) -> Value {
    let images = usage.image_list.iter().map(|image| {
        json!({
            "ID": image.id.to_string(), "References": image.references,
            "CreatedAt": image.created.map(format::rfc3339), "Size": image.size,
            "SharedSize": image.shared, "UniqueSize": image.size.saturating_sub(image.shared),
            "Containers": image.containers, "UnusedSeconds": image.unused_for.as_secs(),
        })
    });
    let containers = usage.container_list.iter().map(|container| {
        json!({
            "ID": container.id.to_string(), "Name": container.name, "Image": container.image,
            "Size": container.size, "Running": container.running,
        })
    });
    let volumes = usage.volume_list.iter().map(|volume| {
        json!({ "Name": volume.name, "Containers": volume.containers, "Size": volume.size })
    });
    json!({
        "Images": images.collect::<Vec<_>>(),
        "Containers": containers.collect::<Vec<_>>(),
        "Volumes": volumes.collect::<Vec<_>>(),
        "ImagesMaxSize": usage.max_size,
    })
}
